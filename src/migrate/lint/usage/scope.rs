//! The relations that a name can mean at its place: those of the query around it, and of the queries around that.

use squawk_syntax::ast::{self, AstNode};
use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::Wanted;
use crate::migrate::lint::facts::{Facts, Relation};
use crate::migrate::lint::sql::Name;

pub(super) struct Scopes<'a> {
    pub wanted: Wanted<'a>,
    pub facts: &'a Facts,
    /// `NEW` and `OLD` are rows of the table.
    pub of_trigger: bool,
}

/// One relation of a query.
struct Entry<'a> {
    /// By which it is called in the query.
    alias: String,
    wanted: bool,
    known: Option<&'a Relation>,
}

impl<'a> Scopes<'a> {
    /// Whether a relation named at `node` is the one that is looked for.
    pub fn is_wanted(&self, name: Option<Name>, node: &SyntaxNode) -> bool {
        let Some(name) = name else { return false };
        if name.name != self.wanted.table {
            return false;
        }
        match &name.schema {
            Some(schema) => schema == self.wanted.schema,
            None if is_common_table(&name.name, node) => false,
            // An application's search path may be another than ours: what we would not find counts.
            None => self
                .facts
                .find(&name)
                .is_none_or(|(found, _)| found.schema.as_deref() == Some(self.wanted.schema)),
        }
    }

    /// Whether an unqualified column at `node` is the table's. The innermost query that has it wins; what columns a
    /// subquery or a function gives is not known, and it is taken to have none of the name.
    pub fn bare_column_is_wanted(&self, node: &SyntaxNode, column: &str) -> bool {
        for scope in node.ancestors() {
            let entries = self.entries(&scope);
            if entries.iter().any(|entry| entry.wanted) {
                return true;
            }
            if entries.iter().any(|entry| entry.known.is_some_and(|relation| relation.has_column(column))) {
                return false;
            }
        }
        false
    }

    /// Whether `u` of `u.email`, or `app.users` of `app.users.email`, is the table.
    pub fn qualifier_is_wanted(&self, node: &SyntaxNode, of: &Name) -> bool {
        if of.schema.is_some() {
            let qualified = of.schema.as_deref() == Some(self.wanted.schema) && of.name == self.wanted.table;
            return qualified && self.holds_table(node);
        }
        for scope in node.ancestors() {
            let entries = self.entries(&scope);
            if let Some(entry) = entries.iter().find(|entry| entry.alias == of.name) {
                return entry.wanted;
            }
        }
        self.is_trigger_row(&of.name)
    }

    /// Whether a query around `node` has the table among its relations.
    pub fn holds_table(&self, node: &SyntaxNode) -> bool {
        node.ancestors().any(|scope| self.entries(&scope).iter().any(|entry| entry.wanted))
    }

    /// Whether the table is what the statement `node` writes to; `None`: it is none that writes.
    pub fn written_table(&self, node: &SyntaxNode) -> Option<bool> {
        let name = match node.kind() {
            SyntaxKind::INSERT => of_relation(ast::Insert::cast(node.clone())?.relation_name_ref()),
            SyntaxKind::UPDATE => of_relation(
                ast::Update::cast(node.clone())?.relation_name().and_then(|name| name.relation_name_ref()),
            ),
            SyntaxKind::MERGE => of_table(ast::Merge::cast(node.clone())?.table_relation_name()),
            SyntaxKind::COPY => ast::Copy::cast(node.clone())?
                .copy_table()?
                .table_name_ref()
                .and_then(|t| Name::of_ref(t.path_ref())),
            _ => return None,
        };
        Some(self.is_wanted(name, node))
    }

    pub fn is_trigger_row(&self, name: &str) -> bool {
        self.of_trigger && matches!(name, "new" | "old")
    }

    /// The relations that `node` brings in, if it is a query.
    fn entries(&self, node: &SyntaxNode) -> Vec<Entry<'a>> {
        let mut entries = Vec::new();
        let mut add = |name: Option<Name>, alias: Option<String>, also: Option<&str>| {
            let Some(name) = name else { return };
            let wanted = self.is_wanted(Some(name.clone()), node);
            let common = name.schema.is_none() && is_common_table(&name.name, node);
            let known = if common { None } else { self.facts.find(&name).map(|(_, relation)| relation) };
            entries.push(Entry { alias: alias.unwrap_or(name.name), wanted, known });
            entries.extend(also.map(|also| Entry { alias: also.to_string(), wanted, known }));
        };
        match node.kind() {
            SyntaxKind::INSERT => {
                let Some(insert) = ast::Insert::cast(node.clone()) else { return entries };
                let alias = insert.alias().and_then(|alias| alias.name()).map(|name| text(name.syntax()));
                add(of_relation(insert.relation_name_ref()), alias, Some("excluded"));
            }
            SyntaxKind::UPDATE => {
                let Some(update) = ast::Update::cast(node.clone()) else { return entries };
                let alias = update.alias().and_then(|alias| alias.name()).map(|name| text(name.syntax()));
                add(
                    of_relation(update.relation_name().and_then(|name| name.relation_name_ref())),
                    alias,
                    None,
                );
            }
            SyntaxKind::DELETE => {
                let Some(delete) = ast::Delete::cast(node.clone()) else { return entries };
                let alias = delete.alias().and_then(|alias| alias.name()).map(|name| text(name.syntax()));
                add(
                    of_relation(delete.relation_name().and_then(|name| name.relation_name_ref())),
                    alias,
                    None,
                );
            }
            SyntaxKind::MERGE => {
                let Some(merge) = ast::Merge::cast(node.clone()) else { return entries };
                let alias = merge.alias().and_then(|alias| alias.name()).map(|name| text(name.syntax()));
                add(of_table(merge.table_relation_name()), alias, None);
            }
            SyntaxKind::SELECT | SyntaxKind::SELECT_INTO | SyntaxKind::PLPGSQL_EXPR => {}
            _ => return entries,
        }
        let lists = [SyntaxKind::FROM_CLAUSE, SyntaxKind::USING_CLAUSE, SyntaxKind::USING_ON_CLAUSE];
        for list in node.children().filter(|child| lists.contains(&child.kind())) {
            for item in items(&list) {
                let alias = item.alias().and_then(|alias| alias.name()).map(|name| text(name.syntax()));
                add(of_relation(item.relation_name_ref()), alias, None);
            }
        }
        entries
    }
}

/// The relations of a FROM, those of joins too; not what subqueries in it have.
fn items(list: &SyntaxNode) -> Vec<ast::RelationFromItem> {
    let mut found = Vec::new();
    let mut open: Vec<SyntaxNode> = list.children().collect();
    while let Some(node) = open.pop() {
        match node.kind() {
            SyntaxKind::RELATION_FROM_ITEM => found.extend(ast::RelationFromItem::cast(node)),
            SyntaxKind::SELECT | SyntaxKind::COMPOUND_SELECT | SyntaxKind::VALUES => {}
            _ => open.extend(node.children()),
        }
    }
    found
}

/// Whether a name without schema means a `WITH` query at this place. Within its own query a table is meant, unless
/// the WITH is recursive.
fn is_common_table(name: &str, node: &SyntaxNode) -> bool {
    for above in node.ancestors() {
        let Some(with) = above.children().find_map(ast::WithClause::cast) else { continue };
        for table in with.with_tables() {
            let inside = node.ancestors().any(|ancestor| ancestor == *table.syntax());
            let named = table.name().is_some_and(|cte| text(cte.syntax()) == name);
            if named && (!inside || with.recursive_token().is_some()) {
                return true;
            }
        }
    }
    false
}

fn of_relation(relation: Option<ast::RelationNameRef>) -> Option<Name> {
    Name::of_ref(relation?.path_ref())
}

fn of_table(table: Option<ast::TableRelationName>) -> Option<Name> {
    Name::of_ref(table?.table_name_ref()?.path_ref())
}

fn text(node: &SyntaxNode) -> String {
    ast::normalize_name_node(node)
}
