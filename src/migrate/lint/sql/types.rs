//! Column types, and which changes of them leave the rows as they are.

use std::fmt;

use squawk_syntax::SourceFile;
use squawk_syntax::ast::{self, AstNode};

use super::name::{Name, cut};

/// A type as the catalog words it: `character varying(40)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlType {
    /// Its schema, where one is written; none for the server's own.
    pub schema: Option<String>,
    /// Its name, in the server's own words.
    pub name: String,
    /// The numbers in parentheses.
    pub arguments: Vec<u32>,
    /// An array of it.
    pub array: bool,
}

impl SqlType {
    /// Reads what `format_type` gives.
    pub fn read(text: &str) -> Option<Self> {
        let tree = SourceFile::parse(&format!("SELECT NULL::{text}"));
        let cast = tree.syntax_node().descendants().find_map(ast::CastExpr::cast)?;
        Self::of(&cast.ty()?)
    }

    /// Reads a written type.
    pub fn of(ty: &ast::Type) -> Option<Self> {
        let (mut schema, plain) = (None, |name: &str| name.to_string());
        let (name, arguments) = match ty {
            ast::Type::ArrayType(array) => return Some(Self { array: true, ..Self::of(&array.ty()?)? }),
            ast::Type::PathType(path) => {
                let name = path_name(path)?;
                schema = name.schema;
                (name.name, arguments(path.arg_list()))
            }
            ast::Type::VarcharType(ty) => (plain("character varying"), arguments(ty.arg_list())),
            ast::Type::CharacterType(ty) => {
                let given = arguments(ty.arg_list());
                (plain("character"), if given.is_empty() { vec![1] } else { given })
            }
            ast::Type::BitType(ty) => (plain("bit"), arguments(ty.arg_list())),
            ast::Type::BitVaryingType(ty) => (plain("bit varying"), arguments(ty.arg_list())),
            ast::Type::DoubleType(_) => (plain("double precision"), vec![]),
            ast::Type::IntervalType(ty) => {
                (plain("interval"), ty.literal().and_then(number).into_iter().collect())
            }
            ast::Type::TimeType(ty) => {
                (with_zone("time", ty.timezone()), ty.literal().and_then(number).into_iter().collect())
            }
            ast::Type::TimestampType(ty) => {
                (with_zone("timestamp", ty.timezone()), ty.literal().and_then(number).into_iter().collect())
            }
        };
        Some(Self { schema, name, arguments, array: false })
    }

    /// Whether both are the same type; a name without a schema may mean one with it.
    pub fn is(&self, other: &Self) -> bool {
        let schemas = self.schema.is_none() || other.schema.is_none() || self.schema == other.schema;
        schemas && self.name == other.name && self.arguments == other.arguments && self.array == other.array
    }

    /// Its name, to be looked up.
    pub fn to_name(&self) -> Name {
        Name { schema: self.schema.clone(), name: self.name.clone() }
    }

    /// Whether the server leaves rows and indexes alone when a column becomes `to`, without a `USING` that
    /// computes: after the notes of `ALTER TABLE` in the manual, and the length coercions that the server knows
    /// to be without effect (`varchar_support`, `numeric_support`, `TemporalSimplify`).
    pub fn becomes_freely(&self, to: &Self) -> bool {
        if self.is(to) {
            return true;
        }
        let own = [self, to].iter().any(|ty| ty.schema.is_some());
        if own || self.array || to.array {
            return false;
        }
        let grows = || match (self.arguments.as_slice(), to.arguments.as_slice()) {
            (_, []) => true,
            ([], _) => false,
            ([from], [to]) => to >= from,
            _ => false,
        };
        match (self.name.as_str(), to.name.as_str()) {
            ("character varying", "text") | ("cidr", "inet") => true,
            ("text", "character varying") => to.arguments.is_empty(),
            ("numeric", "numeric") => {
                let parts = |a: &[u32]| (a.first().copied(), a.get(1).copied().unwrap_or(0));
                match (parts(&self.arguments), parts(&to.arguments)) {
                    (_, (None, _)) => true,
                    ((Some(from), scale), (Some(to), new_scale)) => to >= from && scale == new_scale,
                    _ => false,
                }
            }
            (from, to) if from == to => {
                let growing = ["character varying", "bit varying", "interval"];
                (growing.contains(&from) || from.starts_with("time")) && grows()
            }
            _ => false,
        }
    }
}

impl fmt::Display for SqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.arguments.iter().map(ToString::to_string).collect();
        write!(f, "{}", self.to_name())?;
        if !numbers.is_empty() {
            write!(f, "({})", numbers.join(","))?;
        }
        f.write_str(if self.array { "[]" } else { "" })
    }
}

fn with_zone(stem: &str, zone: Option<ast::Timezone>) -> String {
    match zone {
        Some(ast::Timezone::WithTimezone(_)) => format!("{stem} with time zone"),
        _ => format!("{stem} without time zone"),
    }
}

/// The server's word for the names that people write.
fn path_name(path: &ast::PathType) -> Option<Name> {
    let path = path.path_ref()?;
    let name = cut(path.segment()?.text());
    let schema = path.qualifier().and_then(|q| q.segment()).map(|s| s.text());
    if let Some(schema) = schema.filter(|schema| schema != "pg_catalog") {
        return Some(Name::full(&schema, &name));
    }
    let plain = match name.as_str() {
        "int" | "int4" => "integer",
        "int2" => "smallint",
        "int8" => "bigint",
        "bool" => "boolean",
        "float4" => "real",
        "float" | "float8" => "double precision",
        "decimal" | "dec" => "numeric",
        "timestamptz" => "timestamp with time zone",
        "timetz" => "time with time zone",
        "varbit" => "bit varying",
        "bpchar" => "character",
        "serial" | "serial4" => "integer",
        "bigserial" | "serial8" => "bigint",
        "smallserial" | "serial2" => "smallint",
        other => other,
    };
    Some(Name::bare(plain))
}

fn arguments(list: Option<ast::ArgList>) -> Vec<u32> {
    let Some(list) = list else { return Vec::new() };
    list.syntax().descendants().filter_map(ast::Literal::cast).filter_map(number).collect()
}

fn number(literal: ast::Literal) -> Option<u32> {
    literal.syntax().text().to_string().trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_as_the_catalog_words_them() {
        for (written, worded) in [
            ("int", "integer"),
            ("INT8", "bigint"),
            ("varchar(40)", "character varying(40)"),
            ("character varying(40)", "character varying(40)"),
            ("char", "character(1)"),
            ("numeric(10, 2)", "numeric(10,2)"),
            ("timestamptz", "timestamp with time zone"),
            ("timestamp(3) with time zone", "timestamp with time zone(3)"),
            ("timestamp", "timestamp without time zone"),
            ("text[]", "text[]"),
            ("app.status", "app.status"),
            ("pg_catalog.int4", "integer"),
            ("double precision", "double precision"),
        ] {
            let read = SqlType::read(written).unwrap_or_else(|| panic!("{written} is not read"));
            assert_eq!(read.to_string(), worded, "{written}");
        }
    }

    #[test]
    fn widening_is_free_and_the_rest_is_not() {
        let free = |from, to| SqlType::read(from).unwrap().becomes_freely(&SqlType::read(to).unwrap());
        for (from, to) in [
            ("varchar(40)", "varchar(80)"),
            ("varchar(40)", "varchar"),
            ("varchar(40)", "text"),
            ("text", "varchar"),
            ("numeric(10,2)", "numeric(12,2)"),
            ("numeric(10,2)", "numeric"),
            ("timestamp(3)", "timestamp"),
            ("timestamp(3)", "timestamp(6)"),
            ("integer", "int4"),
            ("cidr", "inet"),
        ] {
            assert!(free(from, to), "{from} to {to}");
        }
        for (from, to) in [
            ("varchar(80)", "varchar(40)"),
            ("varchar", "varchar(40)"),
            ("text", "varchar(40)"),
            ("char(10)", "text"),
            ("int", "bigint"),
            ("numeric(10,2)", "numeric(12,3)"),
            ("numeric", "numeric(12,2)"),
            ("timestamp", "timestamptz"),
            ("timestamp", "timestamp(3)"),
            ("varchar(40)[]", "text[]"),
            ("text", "app.status"),
            ("inet", "cidr"),
        ] {
            assert!(!free(from, to), "{from} to {to}");
        }
    }
}
