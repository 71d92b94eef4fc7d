//! The rules of a request, as everybody checks them.

use serde_valid::{
    Validate as _,
    validation::{Error, Errors},
};

use crate::{FieldError, ProcessRequest};

impl ProcessRequest {
    /// Every rule that this request breaks, by the path of its field; none when it is valid.
    #[must_use]
    pub fn broken_rules(&self) -> Vec<FieldError> {
        let mut found = Vec::new();
        if let Err(errors) = self.validate() {
            collect(&errors, "", &mut found);
        }
        found
    }
}

fn collect(errors: &Errors, path: &str, found: &mut Vec<FieldError>) {
    let mut add = |errors: &[Error]| {
        found.extend(
            errors.iter().map(|error| FieldError { field: path.to_owned(), detail: error.to_string() }),
        );
    };
    match errors {
        Errors::NewType(errors) => add(errors),
        Errors::Object(object) => {
            add(&object.errors);
            for (name, errors) in &object.properties {
                let path = if path.is_empty() { (*name).to_string() } else { format!("{path}.{name}") };
                collect(errors, &path, found);
            }
        }
        Errors::Array(array) => {
            add(&array.errors);
            for (index, errors) in &array.items {
                collect(errors, &format!("{path}[{index}]"), found);
            }
        }
    }
}
