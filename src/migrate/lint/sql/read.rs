//! From a parsed statement to its effects.

use squawk_syntax::SyntaxNode;
use squawk_syntax::ast::{self, AstNode, Stmt, normalize_name_node};

use super::effect::{Effect, Kind};
use super::name::{Name, cut};
use super::{plpgsql, table};

/// What the statement does. What only a `DO` block does is in it too, as far as it stands there in words: whether
/// a branch of it runs is not known, and it counts as if it ran.
pub(in crate::migrate::lint) fn effects(stmt: &Stmt) -> Vec<Effect> {
    let mut effects = Vec::new();
    read(stmt, &mut effects);
    effects
}

fn read(stmt: &Stmt, to: &mut Vec<Effect>) {
    match stmt {
        Stmt::AlterTable(alter) => table::alter(alter, to),
        Stmt::AlterView(alter) => alter_view(alter, to),
        Stmt::AlterMaterializedView(alter) => alter_materialized_view(alter, to),
        Stmt::AlterIndex(alter) => alter_index(alter, to),
        Stmt::AlterType(alter) => alter_type(alter, to),
        Stmt::CreateTable(create) => table::create(create, to),
        Stmt::CreateTableAs(create) => {
            let name = create.table_name().and_then(|name| Name::of_path(name.path()));
            to.extend(name.map(|name| Effect::Create { name, kind: Kind::Table }));
        }
        Stmt::SelectInto(select) => {
            let name = select.syntax().descendants().find_map(ast::IntoClause::cast);
            let name = name.and_then(|into| into.syntax().descendants().find_map(ast::Path::cast));
            to.extend(Name::of_path(name).map(|name| Effect::Create { name, kind: Kind::Table }));
        }
        Stmt::CreateView(create) => create_view(create.view(), Kind::View, to),
        Stmt::CreateMaterializedView(create) => create_view(create.view(), Kind::MaterializedView, to),
        Stmt::CreateIndex(create) => create_index(create, to),
        Stmt::CreateTrigger(create) => {
            let table = create.on_relation().and_then(|on| of_relation(on.relation_name_ref()));
            to.extend(table.map(|table| Effect::Trigger { table }));
        }
        Stmt::CreateType(create) => create_type(create, to),
        Stmt::CreateFunction(create) => {
            to.extend(
                create.name().and_then(|n| Name::of_path(n.path())).map(|name| Effect::Routine { name }),
            );
        }
        Stmt::CreateProcedure(create) => {
            to.extend(
                create.name().and_then(|n| Name::of_path(n.path())).map(|name| Effect::Routine { name }),
            );
        }
        Stmt::Do(block) => {
            let tree = block.body().and_then(|body| body.string_value()).and_then(|body| plpgsql(&body));
            let stmts = tree.iter().flat_map(SyntaxNode::descendants).filter_map(Stmt::cast);
            stmts.filter(|stmt| !matches!(stmt, Stmt::Do(_))).for_each(|stmt| read(&stmt, to));
        }
        _ => read_work(stmt, to),
    }
}

/// What drops, and what works on rows.
fn read_work(stmt: &Stmt, to: &mut Vec<Effect>) {
    match stmt {
        Stmt::DropTable(drop) => {
            for name in drop.table_name_refs().filter_map(|table| Name::of_ref(table.path_ref())) {
                to.push(Effect::Drop { name: name.clone(), kind: Kind::Table });
                to.push(Effect::Exclusive { table: name });
            }
        }
        Stmt::DropView(drop) => drop_views(drop.view_refs(), Kind::View, to),
        Stmt::DropMaterializedView(drop) => drop_views(drop.view_refs(), Kind::MaterializedView, to),
        Stmt::DropIndex(drop) => {
            let names = drop.index_refs().filter_map(|index| Name::of_ref(index.path_ref()));
            to.extend(names.map(|name| Effect::DropIndex { name }));
        }
        Stmt::DropType(drop) => {
            let names = drop.type_name_refs().filter_map(|name| Name::of_ref(name.path_ref()));
            to.extend(names.map(|name| Effect::DropType { name }));
        }
        Stmt::DropFunction(_) | Stmt::DropProcedure(_) | Stmt::DropRoutine(_) => drop_routines(stmt, to),
        Stmt::DropTrigger(drop) => {
            let table = drop.on_relation().and_then(|on| of_relation(on.relation_name_ref()));
            let name = drop.trigger_ref().map(|name| text(name.syntax()));
            to.extend(table.zip(name).map(|(table, name)| Effect::DropTrigger { table, name }));
        }
        Stmt::DropPolicy(drop) => {
            let table = drop.on_table().and_then(|on| Name::of_ref(on.table_name_ref()?.path_ref()));
            let name = drop.policy_ref().map(|name| text(name.syntax()));
            to.extend(table.zip(name).map(|(table, name)| Effect::DropPolicy { table, name }));
        }
        Stmt::DropRule(drop) => {
            let table = drop.on_relation().and_then(|on| of_relation(on.relation_name_ref()));
            let name = drop.rule_ref().map(|name| text(name.syntax()));
            to.extend(table.zip(name).map(|(table, name)| Effect::DropRule { table, name }));
        }
        Stmt::Truncate(truncate) => {
            let tables = truncate.table_list().into_iter().flat_map(|list| list.table_relation_names());
            for table in tables.filter_map(|table| table::of_table(Some(table))) {
                to.push(Effect::Truncate { table: table.clone() });
                to.push(Effect::Exclusive { table });
            }
        }
        Stmt::Update(update) => {
            let table = update.relation_name().and_then(|name| of_relation(name.relation_name_ref()));
            let everything = everything(update.where_clause_or_current_of());
            to.extend(table.map(|table| Effect::Update { table, everything }));
        }
        Stmt::Delete(delete) => {
            let table = delete.relation_name().and_then(|name| of_relation(name.relation_name_ref()));
            let everything = everything(delete.where_clause_or_current_of());
            to.extend(table.map(|table| Effect::Delete { table, everything }));
        }
        Stmt::Insert(insert) => {
            let queried = matches!(
                insert.insert_source(),
                Some(ast::InsertSource::SelectVariant(ref select)) if !matches!(select, ast::SelectVariant::Values(_))
            );
            let table = of_relation(insert.relation_name_ref()).filter(|_| queried);
            to.extend(table.map(|table| Effect::InsertQuery { table }));
        }
        _ => read_upkeep(stmt, to),
    }
}

/// What an administrator does.
fn read_upkeep(stmt: &Stmt, to: &mut Vec<Effect>) {
    match stmt {
        Stmt::Vacuum(vacuum) if vacuum.is_full() => match vacuum.table_and_columns_list() {
            None => to.push(Effect::VacuumFull { table: None }),
            Some(list) => {
                let tables =
                    list.table_and_columnss().filter_map(|t| table::of_table(t.table_relation_name()));
                to.extend(tables.map(|table| Effect::VacuumFull { table: Some(table) }));
            }
        },
        Stmt::Cluster(cluster) => {
            let legacy = cluster.cluster_legacy().and_then(|legacy| legacy.on_path()?.table_name_ref());
            let table = cluster.table_name_ref().or(legacy);
            let table = table.and_then(|table| Name::of_ref(table.path_ref()));
            to.extend(table.clone().map(|table| Effect::Exclusive { table }));
            to.push(Effect::Cluster { table });
        }
        Stmt::Lock(lock) => {
            let mode = match lock.lock_mode_clause().and_then(|clause| clause.lock_mode()) {
                None | Some(ast::LockMode::AccessExclusive(_)) => "ACCESS EXCLUSIVE",
                Some(ast::LockMode::Exclusive(_)) => "EXCLUSIVE",
                Some(ast::LockMode::ShareRowExclusive(_)) => "SHARE ROW EXCLUSIVE",
                Some(ast::LockMode::Share(_)) => "SHARE",
                Some(_) => return,
            };
            let names = lock.relation_list().into_iter().flat_map(|list| list.relation_names());
            for table in names.filter_map(|name| of_relation(name.relation_name_ref())) {
                to.push(Effect::Lock { table: table.clone(), mode });
                if mode == "ACCESS EXCLUSIVE" {
                    to.push(Effect::Exclusive { table });
                }
            }
        }
        Stmt::Refresh(refresh) => {
            let view = refresh.view_ref().and_then(|view| Name::of_ref(view.path_ref()));
            let concurrently = refresh.concurrently_token().is_some();
            to.extend(view.map(|view| Effect::Refresh { view, concurrently }));
        }
        Stmt::Reindex(reindex) if !reindex.is_concurrently() => {
            let (table, index) = match reindex.reindex_target() {
                Some(ast::ReindexTarget::ReindexTargetTable(target)) => {
                    (target.table_name_ref().and_then(|table| Name::of_ref(table.path_ref())), None)
                }
                Some(ast::ReindexTarget::ReindexTargetIndex(target)) => {
                    (None, target.index_ref().and_then(|index| Name::of_ref(index.path_ref())))
                }
                _ => (None, None),
            };
            to.push(Effect::Reindex { table, index });
        }
        _ => {}
    }
}

pub(super) fn of_relation(relation: Option<ast::RelationNameRef>) -> Option<Name> {
    Name::of_ref(relation?.path_ref())
}

/// A name that stands alone in a node.
pub(super) fn text(node: &SyntaxNode) -> String {
    cut(normalize_name_node(node))
}

/// No WHERE, or one that is true of every row.
fn everything(clause: Option<ast::WhereClauseOrCurrentOf>) -> bool {
    match clause {
        None => true,
        Some(ast::WhereClauseOrCurrentOf::WhereCurrentOf(_)) => false,
        Some(ast::WhereClauseOrCurrentOf::WhereClause(clause)) => {
            let literal = clause.syntax().children().find_map(ast::Literal::cast);
            literal.is_some_and(|literal| {
                literal.syntax().text().to_string().trim().eq_ignore_ascii_case("true")
            })
        }
    }
}

fn create_view(view: Option<ast::View>, kind: Kind, to: &mut Vec<Effect>) {
    to.extend(view.and_then(|view| Name::of_path(view.path())).map(|name| Effect::Create { name, kind }));
}

fn drop_views(views: impl Iterator<Item = ast::ViewRef>, kind: Kind, to: &mut Vec<Effect>) {
    to.extend(views.filter_map(|view| Name::of_ref(view.path_ref())).map(|name| Effect::Drop { name, kind }));
}

fn drop_routines(stmt: &Stmt, to: &mut Vec<Effect>) {
    let is_signature = |node: &SyntaxNode| {
        ast::FunctionSig::can_cast(node.kind())
            || ast::ProcedureSig::can_cast(node.kind())
            || ast::RoutineSig::can_cast(node.kind())
    };
    let signatures = stmt.syntax().descendants().filter(is_signature);
    // The name is the first path; the parameters' types are others.
    let names =
        signatures.filter_map(|signature| Name::of_ref(signature.descendants().find_map(ast::PathRef::cast)));
    to.extend(names.map(|name| Effect::DropRoutine { name }));
}

fn alter_view(alter: &ast::AlterView, to: &mut Vec<Effect>) {
    let Some(name) = alter.view_ref().and_then(|view| Name::of_ref(view.path_ref())) else { return };
    let Some(action) = alter.action() else { return };
    let new = match &action {
        ast::AlterViewAction::ViewRenameTo(rename) => {
            rename.view().and_then(|view| Name::of_path(view.path()))
        }
        ast::AlterViewAction::SetSchema(set) => table::moved(set, &name),
        _ => None,
    };
    if let Some(new) = new {
        let new = Name { schema: new.schema.or_else(|| name.schema.clone()), name: new.name };
        to.push(Effect::Rename { from: name, to: new, kind: Kind::View });
    }
}

fn alter_materialized_view(alter: &ast::AlterMaterializedView, to: &mut Vec<Effect>) {
    let Some(name) = alter.view_ref().and_then(|view| Name::of_ref(view.path_ref())) else { return };
    for action in alter.action() {
        match action {
            ast::AlterMaterializedViewAction::AlterTableAction(ast::AlterTableAction::SetTablespace(_)) => {
                to.push(Effect::Tablespace { moved: Some(name.clone()) });
            }
            ast::AlterMaterializedViewAction::ViewRenameTo(rename) => {
                let new = rename.view().and_then(|view| Name::of_path(view.path()));
                let (from, kind) = (name.clone(), Kind::MaterializedView);
                to.extend(new.map(|new| Effect::Rename { to: from.renamed(&new.name), from, kind }));
            }
            _ => {}
        }
    }
}

fn alter_index(alter: &ast::AlterIndex, to: &mut Vec<Effect>) {
    if alter.all_in_tablespace().is_some() {
        to.push(Effect::Tablespace { moved: None });
    }
    let name = alter.index_ref().and_then(|index| Name::of_ref(index.path_ref()));
    if let (Some(name), Some(ast::AlterIndexAction::SetTablespace(_))) = (name, alter.action()) {
        to.push(Effect::Tablespace { moved: Some(name) });
    }
}

fn create_index(create: &ast::CreateIndex, to: &mut Vec<Effect>) {
    let Some(table) = table::of_table(create.table_relation_name()) else { return };
    let name = create.index().and_then(|index| Name::of_path(index.path()));
    let items = create.partition_item_list().into_iter().flat_map(|list| list.partition_items());
    // An index on an expression, or on a part of the rows, serves no foreign key.
    let columns = items.map_while(|item| match item.expr()? {
        ast::Expr::NameRef(name) => Some(cut(name.text())),
        _ => None,
    });
    let columns = if create.where_clause().is_some() { Vec::new() } else { columns.collect() };
    to.push(Effect::Index { table, columns, name });
}

fn create_type(create: &ast::CreateType, to: &mut Vec<Effect>) {
    let Some(name) = create.type_name().and_then(|name| Name::of_path(name.path())) else { return };
    let Some(ast::CreateTypeKind::EnumType(kind)) = create.kind() else { return };
    let variants = kind.variant_list().into_iter().flat_map(|list| list.variants());
    let values = variants.filter_map(|variant| variant.literal()?.string_value()).collect();
    to.push(Effect::Enum { name, values });
}

fn alter_type(alter: &ast::AlterType, to: &mut Vec<Effect>) {
    let Some(name) = alter.type_name_ref().and_then(|name| Name::of_ref(name.path_ref())) else { return };
    match alter.action() {
        Some(ast::AlterTypeAction::TypeRenameTo(rename)) => {
            let new = rename.type_name().and_then(|name| Name::of_path(name.path()));
            to.extend(new.map(|new| Effect::RenameType { to: name.renamed(&new.name), from: name.clone() }));
        }
        Some(ast::AlterTypeAction::SetSchema(set)) => {
            to.extend(table::moved(&set, &name).map(|to| Effect::RenameType { from: name.clone(), to }));
        }
        Some(ast::AlterTypeAction::RenameValue(rename)) => {
            let value = |literal: Option<ast::Literal>| literal.and_then(|literal| literal.string_value());
            let values = value(rename.from()).zip(value(rename.to()));
            to.extend(values.map(|(from, to)| Effect::RenameValue { name: name.clone(), from, to }));
        }
        _ => {}
    }
}
