//! Answers of the program held against its own schemas.

use backstay::schema;
use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Value, json};

/// A schema, strict: what it does not name is refused, though others are told that members may be added.
pub struct Validator {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Validator {
    pub fn strict(mut schema: Value) -> Self {
        close(&mut schema);
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.enable_format_assertions();
        let url = "http://backstay.test/schema.json";
        compiler.add_resource(url, schema).expect("a schema");
        let index = compiler.compile(url, &mut schemas).unwrap_or_else(|error| panic!("{error:#}"));
        Self { schemas, index }
    }

    /// Of the document of a command: `migrate lint`.
    pub fn of_command(command: &str) -> Self {
        Self::strict(schema::output(Some(command)).unwrap_or_else(|| panic!("no schema of {command}")))
    }

    #[track_caller]
    pub fn holds(&self, value: &Value) {
        if let Err(error) = self.schemas.validate(value, self.index) {
            panic!("{error:#}\n{value:#}");
        }
    }
}

fn close(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            map.values_mut().for_each(close);
            if map.get("properties").is_some_and(Value::is_object)
                && !map.contains_key("additionalProperties")
            {
                map.insert("additionalProperties".into(), json!(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}
