//! `CREATE TABLE` and `ALTER TABLE`, action by action.

use std::collections::BTreeSet;

use squawk_syntax::ast::{self, AlterTableAction as Action, AstNode};

use super::effect::{Effect, Kind};
use super::name::{Name, cut};
use super::read::text;
use super::types::SqlType;

/// `ALTER TABLE`.
pub(super) fn alter(alter: &ast::AlterTable, to: &mut Vec<Effect>) {
    if alter.all_in_tablespace().is_some() {
        to.push(Effect::Tablespace { moved: None });
    }
    let Some(table) = of_table(alter.table_relation_name()) else { return };
    let mut exclusive = false;
    for action in alter.actions() {
        exclusive |= shuts_readers_out(&action);
        act(&table, &action, to);
    }
    if exclusive {
        to.push(Effect::Exclusive { table });
    }
}

/// `CREATE TABLE`.
pub(super) fn create(create: &ast::CreateTable, to: &mut Vec<Effect>) {
    let Some(name) = create.table_name().and_then(|name| Name::of_path(name.path())) else { return };
    // Temporary tables are nobody else's, and their schema is not that of a bare name.
    if matches!(create.persistence(), Some(ast::Persistence::Temp(_))) {
        return to.push(Effect::Create { name, kind: Kind::Table });
    }
    to.push(Effect::Create { name: name.clone(), kind: Kind::Table });
    for arg in create.table_arg_list().into_iter().flat_map(|list| list.args()) {
        match arg {
            ast::TableArg::Column(column) => {
                let Some(own) = column.name().map(|name| cut(name.text())) else { continue };
                for clause in column.clauses() {
                    let ast::ColumnClause::ColumnConstraint(constraint) = clause else { continue };
                    if let ast::ColumnConstraint::ReferencesConstraint(key) = constraint {
                        to.extend(reference(&name, &own, &key));
                    }
                }
            }
            ast::TableArg::TableConstraint(ast::TableConstraint::ForeignKeyConstraint(key)) => {
                to.extend(foreign_key(&name, &key));
            }
            _ => {}
        }
    }
}

pub(super) fn of_table(table: Option<ast::TableRelationName>) -> Option<Name> {
    Name::of_ref(table?.table_name_ref()?.path_ref())
}

/// The name that `SET SCHEMA` gives.
pub(super) fn moved(set: &ast::SetSchema, name: &Name) -> Option<Name> {
    Some(Name::full(&text(set.schema_ref()?.syntax()), &name.name))
}

fn column(name: Option<ast::ColumnNameRef>) -> Option<String> {
    name.map(|name| text(name.syntax()))
}

fn act(table: &Name, action: &Action, to: &mut Vec<Effect>) {
    match action {
        Action::AddColumn(add) => add_column(table, add, to),
        Action::DropColumn(drop) => {
            let dropped = column(drop.column_name_ref());
            to.extend(dropped.map(|column| Effect::DropColumn { table: table.clone(), column }));
        }
        Action::RenameColumn(rename) => {
            let names =
                column(rename.column_name_ref()).zip(rename.column_name().map(|name| cut(name.text())));
            to.extend(names.map(|(from, to)| Effect::RenameColumn { table: table.clone(), from, to }));
        }
        Action::AlterColumn(alter) => alter_column(table, alter, to),
        Action::AddConstraint(add) => add_constraint(table, add, to),
        Action::DropConstraint(drop) => {
            let name = drop.syntax().descendants().find_map(ast::ConstraintNameRef::cast);
            let name = name.and_then(|name| Name::of_ref(name.path_ref()));
            to.extend(name.map(|name| Effect::DropConstraint { table: table.clone(), name: name.name }));
        }
        Action::TableRenameTo(rename) => {
            let new = rename.table_name().and_then(|name| Name::of_path(name.path()));
            let from = table.clone();
            to.extend(new.map(|new| Effect::Rename { to: from.renamed(&new.name), from, kind: Kind::Table }));
        }
        Action::SetSchema(set) => {
            let (from, kind) = (table.clone(), Kind::Table);
            to.extend(moved(set, table).map(|to| Effect::Rename { from, to, kind }));
        }
        Action::AttachPartition(attach) => {
            let partition = attach.table_name_ref().and_then(|name| Name::of_ref(name.path_ref()));
            if let Some(partition) = partition {
                to.push(Effect::Attach { parent: table.clone(), partition: partition.clone() });
                to.push(Effect::Exclusive { table: partition });
            }
        }
        Action::SetTablespace(_) => to.push(Effect::Tablespace { moved: Some(table.clone()) }),
        Action::SetLogged(_) => to.push(Effect::Logged { table: table.clone(), logged: true }),
        Action::SetUnlogged(_) => to.push(Effect::Logged { table: table.clone(), logged: false }),
        _ => {}
    }
}

fn add_column(table: &Name, add: &ast::AddColumn, to: &mut Vec<Effect>) {
    let Some(column) = add.column_name().map(|name| cut(name.text())) else { return };
    let (mut not_null, mut filled) = (false, false);
    for constraint in add.constraints() {
        match &constraint {
            ast::Constraint::NotNullConstraint(_) => not_null = true,
            ast::Constraint::PrimaryKeyConstraint(_) => {
                not_null = true;
                to.push(Effect::Index { table: table.clone(), columns: vec![column.clone()], name: None });
            }
            ast::Constraint::UniqueConstraint(_) => {
                to.push(Effect::Index { table: table.clone(), columns: vec![column.clone()], name: None });
            }
            ast::Constraint::DefaultConstraint(_) | ast::Constraint::GeneratedConstraint(_) => filled = true,
            ast::Constraint::ReferencesConstraint(key) => to.extend(reference(table, &column, key)),
            _ => {}
        }
    }
    let written = add.ty().map(|ty| ty.syntax().text().to_string().trim().to_lowercase()).unwrap_or_default();
    let serial =
        ["serial", "bigserial", "smallserial", "serial2", "serial4", "serial8"].contains(&written.as_str());
    let required = not_null && !filled && !serial;
    to.push(Effect::AddColumn { table: table.clone(), column, required });
}

fn alter_column(table: &Name, alter: &ast::AlterColumn, to: &mut Vec<Effect>) {
    let Some(name) = column(alter.column_name_ref()) else { return };
    let Some(ast::AlterColumnOption::SetType(set)) = alter.option() else { return };
    let Some(new) = set.ty().and_then(|ty| SqlType::of(&ty)) else { return };
    let computed =
        set.using_expr().and_then(|using| using.expr()).is_some_and(|using| !is_column(&using, &name));
    to.push(Effect::SetType { table: table.clone(), column: name, to: new, computed });
}

/// The column itself, or the column cast: as the server would without a USING.
fn is_column(expr: &ast::Expr, column: &str) -> bool {
    match expr {
        ast::Expr::NameRef(name) => cut(name.text()) == column,
        ast::Expr::CastExpr(cast) => cast.expr().is_some_and(|inner| is_column(&inner, column)),
        ast::Expr::ParenExpr(paren) => paren.expr().is_some_and(|inner| is_column(&inner, column)),
        _ => false,
    }
}

fn add_constraint(table: &Name, add: &ast::AddConstraint, to: &mut Vec<Effect>) {
    let Some(constraint) = add.constraint() else { return };
    match &constraint {
        ast::Constraint::ForeignKeyConstraint(key) => to.extend(foreign_key(table, key)),
        ast::Constraint::PrimaryKeyConstraint(_) | ast::Constraint::UniqueConstraint(_) => {
            let list = constraint.syntax().descendants().find_map(ast::ColumnRefList::cast);
            let keys = list.map(|list| list.syntax().clone()).or_else(|| {
                let list = constraint.syntax().descendants().find_map(ast::ConstraintColumnRefList::cast);
                list.map(|list| list.syntax().clone())
            });
            let names = keys.iter().flat_map(|keys| keys.descendants()).filter_map(ast::ColumnNameRef::cast);
            let columns = names.map(|name| text(name.syntax())).collect();
            to.push(Effect::Index { table: table.clone(), columns, name: None });
        }
        ast::Constraint::CheckConstraint(check) if !constraint.is_not_valid() => {
            let names = check.syntax().descendants().filter_map(ast::NameRef::cast);
            let columns: BTreeSet<String> = names.map(|name| cut(name.text())).collect();
            to.push(Effect::Check { table: table.clone(), columns });
        }
        _ => {}
    }
}

fn foreign_key(table: &Name, key: &ast::ForeignKeyConstraint) -> Option<Effect> {
    let columns = key.from_columns()?.column_name_refs().map(|name| text(name.syntax())).collect();
    let to = Name::of_ref(key.table_name_ref()?.path_ref())?;
    Some(Effect::ForeignKey { table: table.clone(), columns, to })
}

fn reference(table: &Name, column: &str, key: &ast::ReferencesConstraint) -> Option<Effect> {
    let to = Name::of_ref(key.table()?.path_ref())?;
    Some(Effect::ForeignKey { table: table.clone(), columns: vec![column.to_string()], to })
}

/// Whether the action takes ACCESS EXCLUSIVE; the weaker ones after the manual's page of `ALTER TABLE`.
fn shuts_readers_out(action: &Action) -> bool {
    match action {
        Action::ValidateConstraint(_)
        | Action::AttachPartition(_)
        | Action::ClusterOn(_)
        | Action::SetWithoutCluster(_)
        | Action::EnableTrigger(_)
        | Action::EnableReplicaTrigger(_)
        | Action::EnableAlwaysTrigger(_)
        | Action::DisableTrigger(_)
        | Action::SetOptions(_)
        | Action::ResetOptions(_)
        | Action::OptionItemList(_) => false,
        Action::DetachPartition(detach) => !matches!(
            detach.detach_partition_option(),
            Some(ast::DetachPartitionOption::DetachConcurrently(_))
        ),
        Action::AddConstraint(add) => {
            !matches!(add.constraint(), Some(ast::Constraint::ForeignKeyConstraint(_)))
        }
        Action::AlterColumn(alter) => !matches!(
            alter.option(),
            Some(
                ast::AlterColumnOption::SetStatistics(_)
                    | ast::AlterColumnOption::SetOptions(_)
                    | ast::AlterColumnOption::SetOptionsList(_)
                    | ast::AlterColumnOption::ResetOptions(_)
            )
        ),
        _ => true,
    }
}
