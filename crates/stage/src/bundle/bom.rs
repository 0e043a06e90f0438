//! What do SBOM and ML-BOM have in common? The frame of a CycloneDX 1.6 document.
//!
//! Neither a time nor a random serial number: the same input gives the same file.

use serde_json::{Value, json};

/// A document about `component`.
pub(super) fn document(component: &Value, components: &[Value], dependencies: &[Value]) -> Value {
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "tools": { "components": [{
                "type": "application",
                "name": env!("CARGO_PKG_NAME"),
                "version": env!("CARGO_PKG_VERSION"),
            }]},
            "component": component,
        },
        "components": components,
        "dependencies": dependencies,
    })
}

/// `licenses` of a component: an SPDX identifier, or an expression.
pub(super) fn licences(spdx: &str) -> Value {
    // Cargo once wrote `MIT/Apache-2.0`.
    let spdx = spdx.replace('/', " OR ");
    if spdx.contains([' ', '(']) {
        json!([{ "expression": spdx }])
    } else {
        json!([{ "license": { "id": spdx } }])
    }
}

pub(super) fn sha256(content: &str) -> Value {
    json!([{ "alg": "SHA-256", "content": content }])
}

pub(super) fn property(name: &str, value: &(impl ToString + ?Sized)) -> Value {
    json!({ "name": format!("casemate:{name}"), "value": value.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_identifiers_or_expressions() {
        assert_eq!(licences("MIT"), json!([{ "license": { "id": "MIT" } }]));
        assert_eq!(licences("MIT/Apache-2.0"), json!([{ "expression": "MIT OR Apache-2.0" }]));
    }
}
