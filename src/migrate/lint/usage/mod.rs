//! Whether a text uses a table or a column of it: read from the syntax tree, name by name, each looked up in the
//! scopes around it as the server would.

mod scope;

use squawk_syntax::ast::{self, AstNode, Stmt};
use squawk_syntax::{SyntaxKind, SyntaxNode};

use self::scope::Scopes;
use super::facts::Facts;
use super::sql::{Name, plpgsql, squawk_tree};

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub schema: &'a str,
    pub table: &'a str,
    /// `None`: any use of the table.
    pub column: Option<&'a str>,
}

/// How a text uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Usage {
    /// Not at all, as far as it can be read.
    None,
    /// Only by `*`: it works without the column too.
    Star,
    /// By name, or by its place among the values of an INSERT.
    Named,
}

/// How a query uses it. What an application sends counts; what backups, psql's `\copy … to` or earlier migrations
/// sent does not.
pub(super) fn of_query(text: &str, wanted: Wanted<'_>, facts: &Facts) -> Usage {
    if !may_name(text, wanted) {
        return Usage::None;
    }
    let Some(tree) = squawk_tree(text) else { return Usage::None };
    tree.tree()
        .stmts()
        .filter(|stmt| is_of_application(stmt, facts))
        .map(|stmt| within(stmt.syntax(), wanted, facts, false))
        .max()
        .unwrap_or(Usage::None)
}

/// How the body of a routine uses it. `of_trigger`: a trigger of the table calls it, so `NEW` and `OLD` are rows
/// of the table.
pub(super) fn of_body(
    body: &str,
    procedural: bool,
    of_trigger: bool,
    wanted: Wanted<'_>,
    facts: &Facts,
) -> Usage {
    if !may_name(body, wanted) && !of_trigger {
        return Usage::None;
    }
    let tree = match procedural {
        true => plpgsql(body),
        false => squawk_tree(body).map(|tree| tree.syntax_node()),
    };
    let Some(tree) = tree else { return Usage::None };
    let mut usage = within(&tree, wanted, facts, of_trigger);
    // Statements that the parser does not know within a body (`SELECT … INTO variable`), and those in words.
    for node in tree.descendants() {
        let text = if node.kind() == SyntaxKind::ERROR {
            Some(node.text().to_string())
        } else {
            let executed = ast::PlpgsqlDynExecuteStmt::cast(node);
            let literal = executed.and_then(|stmt| stmt.syntax().descendants().find_map(ast::Literal::cast));
            literal.and_then(|literal| literal.string_value())
        };
        let inner = text.and_then(|text| squawk_tree(&text));
        usage = usage
            .max(inner.map_or(Usage::None, |tree| within(&tree.syntax_node(), wanted, facts, of_trigger)));
    }
    usage
}

/// Only for speed: a text that holds no such word can't name it, unless by Unicode escapes, which nobody writes
/// for names. What holds the word is parsed.
fn may_name(text: &str, wanted: Wanted<'_>) -> bool {
    let text = text.to_lowercase();
    text.contains(&wanted.table.to_lowercase()) || text.contains("u&\"")
}

/// Whether an application may have sent it, and not a restore, or backstay itself.
fn is_of_application(stmt: &Stmt, facts: &Facts) -> bool {
    match stmt {
        Stmt::Select(select) => !is_our_count(select),
        Stmt::CompoundSelect(_)
        | Stmt::ParenSelect(_)
        | Stmt::Values(_)
        | Stmt::Table(_)
        | Stmt::Insert(_)
        | Stmt::Update(_)
        | Stmt::Delete(_)
        | Stmt::Merge(_)
        | Stmt::Declare(_)
        | Stmt::Prepare(_) => true,
        Stmt::Copy(copy) => {
            matches!(copy.copy_direction(), Some(ast::CopyDirection::CopyFrom(_)))
                && !is_of_a_dump(copy, facts)
        }
        _ => false,
    }
}

/// A dump is loaded by a `COPY` that names every column.
fn is_of_a_dump(copy: &ast::Copy, facts: &Facts) -> bool {
    let table = copy.copy_table();
    let name = table.as_ref().and_then(|table| Name::of_ref(table.table_name_ref()?.path_ref()));
    let Some((_, relation)) = name.and_then(|name| facts.find(&name)) else { return false };
    let listed = table.and_then(|table| table.column_ref_list()).map(|list| list.column_name_refs().count());
    listed.is_none_or(|listed| listed >= relation.columns.len())
}

/// How rows are counted behind the fence: `SELECT pg_catalog.count(*) FROM …`, as nobody else writes it.
fn is_our_count(select: &ast::Select) -> bool {
    let list = select.syntax().descendants().find_map(ast::TargetList::cast);
    list.is_some_and(|list| list.syntax().text() == "pg_catalog.count(*)")
}

fn within(tree: &SyntaxNode, wanted: Wanted<'_>, facts: &Facts, of_trigger: bool) -> Usage {
    let scopes = Scopes { wanted, facts, of_trigger };
    let mut usage = Usage::None;
    for node in tree.descendants() {
        usage = usage.max(match wanted.column {
            None => relation(&scopes, &node),
            Some(column) => by_column(&scopes, &node, column),
        });
        if usage == Usage::Named {
            break;
        }
    }
    usage
}

fn named(is: bool) -> Usage {
    if is { Usage::Named } else { Usage::None }
}

/// A node that names a relation.
fn relation(scopes: &Scopes<'_>, node: &SyntaxNode) -> Usage {
    if let Some(reference) = ast::RelationNameRef::cast(node.clone()) {
        return named(scopes.is_wanted(Name::of_ref(reference.path_ref()), node));
    }
    if let Some(reference) = ast::TableNameRef::cast(node.clone()) {
        return named(scopes.is_wanted(Name::of_ref(reference.path_ref()), node));
    }
    // `declare r users%rowtype`
    if let Some(of_rows) = ast::PlpgsqlPercentRowtype::cast(node.clone()) {
        let name = of_rows.syntax().children().find_map(ast::PathRef::cast);
        return named(scopes.is_wanted(Name::of_ref(name), node));
    }
    Usage::None
}

/// A node that names a column, or all of a relation's.
fn by_column(scopes: &Scopes<'_>, node: &SyntaxNode, column: &str) -> Usage {
    match node.kind() {
        SyntaxKind::NAME_REF => named(bare(scopes, node, column)),
        SyntaxKind::FIELD_EXPR => field(scopes, node, column),
        SyntaxKind::COLUMN_NAME_REF => named(target(scopes, node, column)),
        SyntaxKind::TARGET => {
            let star = ast::Target::cast(node.clone()).is_some_and(|target| target.star_token().is_some());
            if star && scopes.holds_table(node) { Usage::Star } else { Usage::None }
        }
        // `INSERT INTO users VALUES (…)`: the values go by their places.
        SyntaxKind::INSERT => {
            let insert = ast::Insert::cast(node.clone());
            named(insert.is_some_and(|insert| {
                insert.column_target_list().is_none()
                    && !matches!(insert.insert_source(), Some(ast::InsertSource::DefaultValues(_)) | None)
                    && scopes
                        .is_wanted(insert.relation_name_ref().and_then(|r| Name::of_ref(r.path_ref())), node)
            }))
        }
        // `declare v users.email%type`
        SyntaxKind::PERCENT_TYPE => {
            let path = ast::PercentType::cast(node.clone()).and_then(|ty| ty.path_ref());
            let last = path.as_ref().and_then(|path| path.segment()).map(|segment| segment.text());
            let of = path.and_then(|path| path.qualifier());
            named(last.as_deref() == Some(column) && scopes.is_wanted(Name::of_ref(of), node))
        }
        // `NEW.email := …`
        SyntaxKind::PLPGSQL_ASSIGN_TARGET => {
            let target = ast::PlpgsqlAssignTarget::cast(node.clone());
            named(target.is_some_and(|target| {
                let variable = target.name().map(|name| ast::normalize_name_node(name.syntax()));
                let field = target.syntax().descendants().find_map(ast::CompositeFieldRef::cast);
                let field = field.map(|field| ast::normalize_name_node(field.syntax()));
                variable.is_some_and(|v| scopes.is_trigger_row(&v)) && field.as_deref() == Some(column)
            }))
        }
        _ => Usage::None,
    }
}

/// A name that stands alone in an expression.
fn bare(scopes: &Scopes<'_>, node: &SyntaxNode, column: &str) -> bool {
    let Some(parent) = node.parent() else { return false };
    if ast::normalize_name_node(node) != column {
        return false;
    }
    match parent.kind() {
        // Told by the whole of `a.b`; and the name of a function is none of a column.
        SyntaxKind::FIELD_EXPR => return false,
        SyntaxKind::CALL_EXPR => return false,
        // `ORDER BY title`: an output column of that name goes first.
        SyntaxKind::SORT_BY if is_output(&parent, column) => return false,
        _ => {}
    }
    scopes.bare_column_is_wanted(node, column)
}

/// Whether the query whose ORDER BY this is gives a column of that name which is not simply the table's own.
fn is_output(sort: &SyntaxNode, column: &str) -> bool {
    let query = sort.ancestors().find(|node| node.kind() == SyntaxKind::SELECT);
    let list = query.and_then(|query| query.children().find(|node| node.kind() == SyntaxKind::SELECT_CLAUSE));
    let targets = list.iter().flat_map(SyntaxNode::descendants).filter_map(ast::AsName::cast);
    let mut names = targets.filter_map(|alias| alias.name()).map(|name| name.text());
    names.any(|name| name == column)
}

/// `u.email`, `public.users.email`, `(u).email`, `u.*`.
fn field(scopes: &Scopes<'_>, node: &SyntaxNode, column: &str) -> Usage {
    let Some(field) = ast::FieldExpr::cast(node.clone()) else { return Usage::None };
    let star = field.star_token().is_some();
    let last = field.syntax().children().filter_map(ast::NameRef::cast).last().map(|name| name.text());
    if !star && last.as_deref() != Some(column) {
        return Usage::None;
    }
    let wanted = field.base().and_then(qualifier).is_some_and(|of| scopes.qualifier_is_wanted(node, &of));
    match (wanted, star) {
        (false, _) => Usage::None,
        (true, true) => Usage::Star,
        (true, false) => Usage::Named,
    }
}

fn qualifier(base: ast::Expr) -> Option<Name> {
    match base {
        ast::Expr::NameRef(name) => Some(Name::bare(&name.text())),
        ast::Expr::ParenExpr(paren) => qualifier(paren.expr()?),
        ast::Expr::FieldExpr(field) => match field.base()? {
            ast::Expr::NameRef(schema) => Some(Name::full(&schema.text(), &field.field()?.text())),
            _ => None,
        },
        _ => None,
    }
}

/// A column as something written to, joined by, or copied.
fn target(scopes: &Scopes<'_>, node: &SyntaxNode, column: &str) -> bool {
    if ast::normalize_name_node(node) != column {
        return false;
    }
    let joined = node.ancestors().any(|above| above.kind() == SyntaxKind::JOIN_USING_CLAUSE);
    if joined {
        return scopes.holds_table(node);
    }
    node.ancestors().find_map(|above| scopes.written_table(&above)).unwrap_or(false)
}

#[cfg(test)]
mod tests;
