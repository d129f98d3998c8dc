use serde_json::{Value, json};

use super::{MAX_STEPS, compile};

/// `a0` asks `a1` twice, that `a2` twice, and so on.
fn doubling(levels: usize) -> Value {
    let mut defs = serde_json::Map::new();
    for level in 0..levels {
        let next = format!("#/$defs/a{}", level + 1);
        defs.insert(format!("a{level}"), json!({"anyOf": [{"$ref": next}, {"$ref": next}]}));
    }
    defs.insert(format!("a{levels}"), json!({"type": "integer"}));
    json!({"$ref": "#/$defs/a0", "$defs": defs})
}

fn refused(schema: &Value) -> String {
    compile(schema).err().unwrap_or_else(|| panic!("{schema} was taken"))
}

fn said(schema: &Value, result: &Value) -> Option<String> {
    compile(schema).unwrap_or_else(|error| panic!("{error}")).complaints(result)
}

#[test]
fn a_schema_that_multiplies_itself_is_refused() {
    for levels in [19, 28, 60] {
        assert!(refused(&doubling(levels)).contains("expands too far"));
    }
    assert_eq!(said(&doubling(4), &json!(1)), None);
    assert!(said(&doubling(4), &json!("x")).unwrap().starts_with("/: \"x\" is not valid under any"));
}

#[test]
fn a_schema_that_refers_to_itself_works_where_the_result_ends() {
    let tree = json!({
        "$ref": "#/$defs/node",
        "$defs": { "node": {
            "type": "object",
            "required": ["name"],
            "properties": { "name": {"type": "string"}, "below": {"type": "array", "items": {"$ref": "#/$defs/node"}} },
        }},
    });
    assert_eq!(said(&tree, &json!({"name": "a", "below": [{"name": "b", "below": []}]})), None);
    let wrong = said(&tree, &json!({"name": "a", "below": [{"name": "b", "below": [{"name": 3}]}]}));
    assert_eq!(wrong.unwrap(), "/below/0/below/0/name: 3 is not of type \"string\"");
    let whole = json!({"properties": {"next": {"$ref": "#"}}, "additionalProperties": false});
    assert_eq!(said(&whole, &json!({"next": {"next": {}}})), None);
    assert!(said(&whole, &json!({"next": {"other": {}}})).unwrap().starts_with("/next: "));
    let never = json!({"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}});
    assert!(refused(&never).contains("refers to itself without going deeper"));
}

#[test]
fn references_are_followed_in_every_form() {
    for schema in [
        json!({"$ref": "#/$defs/a%20b", "$defs": {"a b": {"type": "integer"}}}),
        json!({"$ref": "#/$defs/a~1b~0c", "$defs": {"a/b~c": {"type": "integer"}}}),
        json!({"$ref": "#name", "$defs": {"a": {"$anchor": "name", "type": "integer"}}}),
        json!({"$dynamicRef": "#name", "$defs": {"a": {"$dynamicAnchor": "name", "type": "integer"}}}),
        json!({"$id": "https://example.com/s", "$ref": "https://example.com/s#/$defs/a", "$defs": {"a": {"type": "integer"}}}),
        json!({"$ref": "#/$defs/a/properties/b", "$defs": {"a": {"properties": {"b": {"type": "integer"}}}}}),
        json!({"$ref": "#/elsewhere/0", "elsewhere": [{"type": "integer"}]}),
        json!({"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "#/definitions/a",
               "definitions": {"a": {"type": "integer"}}}),
        json!({"$schema": "http://json-schema.org/draft-04/schema#", "id": "https://example.com/s",
               "allOf": [{"$ref": "#/definitions/a"}], "definitions": {"a": {"type": "integer"}}}),
        json!({"$schema": "https://json-schema.org/draft/2019-09/schema", "if": {"type": "array"},
               "then": {"items": {"$recursiveRef": "#"}}, "else": {"type": "integer"}}),
    ] {
        assert_eq!(said(&schema, &json!(3)), None, "{schema}");
        assert_eq!(said(&schema, &json!("x")).as_deref(), Some("/: \"x\" is not of type \"integer\""), "{schema}");
    }
    for (schema, why) in [
        (json!({"$ref": "https://example.com/other"}), "leaves the document"),
        (json!({"$ref": "file:///etc/passwd"}), "leaves the document"),
        (json!({"$ref": "#/$defs/none"}), "leads to no schema"),
        (json!({"$ref": "#none"}), "leads nowhere"),
        (json!({"$ref": "#/enum/0", "enum": [{"type": "integer"}]}), "leads into a value"),
        (json!({"$defs": {"a": {"$id": "b"}}}), "only the whole schema"),
        (json!({"$defs": {"a": {"$anchor": "x"}, "b": {"$anchor": "x"}}}), "is there twice"),
        (json!({"type": "intger"}), "intger"),
        (json!([1]), "[1]"),
    ] {
        assert!(refused(&schema).contains(why), "{schema}: {}", refused(&schema));
    }
}

#[test]
fn a_large_schema_of_the_daily_kind_is_taken() {
    let kinds: serde_json::Map<String, Value> = (0..50)
        .map(|kind| {
            (format!("kind{kind}"), json!({"type": "string", "pattern": "^[a-z0-9-]{1,64}$", "enum": ["a", "b"]}))
        })
        .collect();
    let properties: serde_json::Map<String, Value> = (0..500)
        .map(|name| {
            (format!("property{name}"), json!({"$ref": format!("#/$defs/kind{}", name % 50), "title": "A title"}))
        })
        .collect();
    let schema = json!({"type": "object", "properties": properties, "unevaluatedProperties": false, "$defs": kinds});
    let result: serde_json::Map<String, Value> = (0..500).map(|name| (format!("property{name}"), json!("a"))).collect();
    assert_eq!(said(&schema, &result.clone().into()), None);
    let mut wrong = result;
    wrong.insert("property7".to_owned(), json!("c"));
    wrong.insert("unknown".to_owned(), json!(1));
    let said = said(&schema, &wrong.into()).unwrap();
    assert!(said.contains("/property7: \"c\" is not one of"), "{said}");
    assert!(said.contains("'unknown'"), "{said}");
}

#[test]
fn patterns_run_in_linear_time_or_are_refused() {
    let schema = json!({"pattern": "^(a+)+$"});
    assert!(said(&schema, &json!(format!("{}b", "a".repeat(50_000)))).is_some());
    assert!(compile(&json!({"pattern": "(?=a)a"})).is_err(), "look-around asks for backtracking");
    assert!(compile(&json!({"pattern": "(a)\\1"})).is_err(), "back-references ask for backtracking");
    assert!(refused(&json!({"pattern": "((a{100}){100}){100}"})).contains("too large"));
    let many: Vec<Value> = (0..300).map(|n| json!({"pattern": format!("a{n}")})).collect();
    assert!(refused(&json!({"anyOf": many})).contains("different patterns"));
    let large: Vec<Value> = (0..100).map(|n| json!({"pattern": format!("\\w{{600}}{n}")})).collect();
    assert!(refused(&json!({"anyOf": large})).contains("too large"));
    let draft7 = json!({"$schema": "http://json-schema.org/draft-07/schema#", "format": "regex"});
    assert_eq!(said(&draft7, &json!("((a{1000}){1000}){1000}")), None, "a pattern in a result is never compiled");
}

/// Each level of the result is looked at twice as often as the one above.
fn doubling_below(ways: usize) -> Value {
    let one = json!({"properties": {"a": {"$ref": "#/$defs/n"}}, "required": ["never"]});
    let ways = vec![one; ways];
    json!({"$ref": "#/$defs/n", "$defs": {"n": {"anyOf": ways}}})
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!({"a": inner}))
}

#[test]
fn what_multiplies_with_the_result_ends_with_its_steps() {
    // A hundred in each of thirty levels: nothing would ever end this but the steps.
    let said = said(&doubling_below(100), &json!({"a": nested(30), "b": 1})).unwrap();
    assert!(said.contains("steps") || said.contains("too long to say where") || said.contains("any of"), "{said}");
    let unevaluated = json!({
        "$ref": "#/$defs/n",
        "$defs": {"n": {
            "allOf": [
                {"properties": {"a": {"$ref": "#/$defs/n"}}},
                {"properties": {"a": {"$ref": "#/$defs/m"}}},
            ],
        }, "m": {"oneOf": [{"$ref": "#/$defs/k"}, {"$ref": "#/$defs/k"}, {"type": "null"}]},
        "k": {"properties": {"a": {"$ref": "#/$defs/n"}}, "not": {"type": "null"}}},
    });
    assert!(super::tests::said(&unevaluated, &nested(30)).is_some());
}

#[test]
fn lists_whose_digests_are_alike_are_compared_within_bounds() {
    // Nested empty lists: their digests tell them apart no more than their leaves do.
    let lists = |n: usize| -> Value {
        let list = |n: usize| {
            (0..64 - n.leading_zeros())
                .fold(json!([]), |inner, bit| if n >> bit & 1 == 0 { json!([inner]) } else { json!([inner, []]) })
        };
        (1..=n).map(list).collect()
    };
    let unique = json!({"uniqueItems": true});
    assert_eq!(said(&unique, &lists(1000)), None);
    let many = json!({"allOf": vec![unique; 40]});
    assert!(said(&many, &lists(3000)).unwrap().contains("steps"));
}

#[test]
fn the_keyword_that_pays_is_nobodys() {
    assert!(refused(&json!({"agentd:steps": [99_999_999, 0, 0, 0]})).contains("agentd:steps"));
}

#[test]
fn lists_that_are_compared_are_paid_for() {
    let values: Vec<Value> = (0..5_000).map(|n| json!(n)).collect();
    let schema = json!({"items": {"enum": values}});
    let result: Vec<Value> = vec![json!(-1); 200_000];
    assert!(said(&schema, &result.into()).is_some());
    let unique = json!({"allOf": vec![json!({"uniqueItems": true}); 500]});
    let result: Vec<Value> = (0..100_000).map(|n| json!([n])).collect();
    let said = said(&unique, &result.into()).unwrap();
    assert!(said.contains(&MAX_STEPS.to_string()), "{said}");
}

#[test]
fn complaints_are_few_and_short() {
    let long = "k".repeat(1 << 20);
    let result = json!({ long: vec![0; 50_000] });
    let schema = json!({"additionalProperties": {"items": {"type": "string"}}});
    let told = said(&schema, &result).unwrap();
    assert!(told.len() < 10_000, "{}", told.len());
    let items: Vec<Value> = vec![json!("x".repeat(1 << 16)); 60];
    let told = said(&json!({"items": {"type": "integer"}}), &items.into()).unwrap();
    assert_eq!(told.lines().count(), 20);
    assert!(told.lines().all(|line| line.len() <= 400));
    let told = said(&json!({"not": {"type": "string"}}), &json!("x")).unwrap();
    assert_eq!(told, "/: this is what it must not be");
}

#[test]
fn places_are_paid_for_before_they_are_made() {
    let many: Vec<Value> = vec![json!({}); 5_000];
    let schema = json!({"properties": { "k".repeat(60_000): {"anyOf": many} }});
    assert!(refused(&schema).contains("too deep and too long"));
}

#[test]
fn a_schema_judges_and_says_where_a_result_is_wrong() {
    let schema = json!({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}});
    for (result, words) in [
        (json!({"n": 2}), None),
        (json!({"n": "two"}), Some("/n: ")),
        (json!({}), Some("/: ")),
        (json!([]), Some("/: ")),
    ] {
        let told = said(&schema, &result);
        assert_eq!(told.is_some(), words.is_some(), "{result}: {told:?}");
        assert!(words.is_none_or(|words| told.unwrap().starts_with(words)), "{result}");
    }
}
