use serde_json::{Value, json};

/// The operations (RFC 6902) that make `after` of `before`, where nothing was taken away: `add` for what is new, `replace` for what is another.
#[must_use]
pub fn patch(before: &Value, after: &Value) -> Vec<Value> {
    let mut operations = Vec::new();
    differ(before, after, &mut String::new(), &mut operations);
    operations
}

fn differ(before: &Value, after: &Value, path: &mut String, operations: &mut Vec<Value>) {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        if before != after {
            operations.push(json!({ "op": "replace", "path": path, "value": after }));
        }
        return;
    };
    for (name, value) in new {
        let length = path.len();
        path.push('/');
        path.push_str(&name.replace('~', "~0").replace('/', "~1"));
        match old.get(name) {
            Some(old) => differ(old, value, path, operations),
            None => operations.push(json!({ "op": "add", "path": path, "value": value })),
        }
        path.truncate(length);
    }
}
