//! What a schema is made of, and how much of it meets at one place of a result.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::metered::KEYWORD;
use super::pattern::positions;
use super::{MAX_CHAIN, MAX_EXPANSION, MAX_PATTERN_POSITIONS, MAX_PATTERNS, MAX_PLACE_BYTES};

/// Keywords with one subschema, or a list, for the same place of the result.
const HERE: &[&str] = &["allOf", "anyOf", "oneOf", "not", "if", "then", "else"];
/// Keywords with subschemas by name for the same place of the result.
const HERE_BY_NAME: &[&str] = &["dependentSchemas", "dependencies"];
/// Keywords with one subschema, or a list, for what is in the result below.
const BELOW: &[&str] = &[
    "items",
    "prefixItems",
    "additionalItems",
    "contains",
    "additionalProperties",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentSchema",
];
/// Keywords with subschemas by name for what is below, or for nothing by themselves.
const BELOW_BY_NAME: &[&str] = &["properties", "patternProperties", "$defs", "definitions"];
/// References to other subschemas.
const REFS: &[&str] = &["$ref", "$dynamicRef", "$recursiveRef"];
/// Keywords that only describe.
const WORDS: &[&str] = &["title", "description", "$comment", "default", "examples"];

/// What a subschema costs for one place of a result.
#[derive(Clone, Copy)]
pub(super) struct Toll {
    /// Bytes of its own keywords: values to compare with, names that are required.
    pub(super) own: u64,
    /// Positions of its patterns.
    pub(super) positions: u64,
    /// Subschemas that are asked again about each member, for `unevaluatedProperties` and the like.
    pub(super) members: u64,
    /// Whether it compares whole values.
    pub(super) compares: bool,
}

/// One subschema.
#[derive(Default)]
pub(super) struct Found {
    /// Places of the subschemas for the same place of the result.
    here: Vec<String>,
    /// Where its references lead.
    pub(super) refs: BTreeMap<&'static str, String>,
    own: u64,
    positions: u64,
    compares: bool,
    unevaluated: bool,
    is_object: bool,
    /// Subschemas for the same place, itself and those of its own included.
    size: u64,
}

impl Found {
    /// What it costs.
    pub(super) fn toll(&self) -> Toll {
        let members = if self.unevaluated { self.size } else { 0 };
        Toll { own: self.own, positions: self.positions, members, compares: self.compares }
    }
}

/// All subschemas of a document that can be reached, by place (a JSON Pointer).
pub(super) struct Survey<'a> {
    root: &'a Value,
    id: &'a str,
    anchors: BTreeMap<&'a str, String>,
    found: BTreeMap<String, Found>,
    patterns: BTreeSet<&'a str>,
    positions: u64,
    place_bytes: usize,
    bytes: usize,
}

impl<'a> Survey<'a> {
    /// Looks a schema through; the error says in one line what is too much.
    pub(super) fn of(root: &'a Value) -> Result<Self, String> {
        let id = ["$id", "id"].iter().find_map(|key| root.get(key)?.as_str()).unwrap_or_default();
        let id = id.strip_suffix('#').unwrap_or(id);
        let bytes = size_of(root);
        let (found, anchors, patterns) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        let mut survey = Self { root, id, anchors, found, patterns, positions: 0, place_bytes: 0, bytes };
        survey.collect_anchors(root, "")?;
        let mut open = vec![String::new()];
        while let Some(place) = open.pop() {
            if !survey.found.contains_key(&place) {
                survey.look_at(place, &mut open)?;
            }
        }
        survey.measure()?;
        Ok(survey)
    }

    /// The subschema at a place, if there is one.
    pub(super) fn found(&self, place: &str) -> Option<&Found> {
        self.found.get(place)
    }

    /// Whether there is a subschema with keywords.
    pub(super) fn is_object(&self, place: &str) -> bool {
        self.found(place).is_some_and(|found| found.is_object)
    }

    /// Bytes of the schema when it is compiled, about.
    pub(super) fn weight(&self) -> usize {
        let positions = usize::try_from(self.positions).unwrap_or(usize::MAX);
        self.bytes * 64 + self.place_bytes * 4 + positions.saturating_mul(512) + self.patterns.len() * (64 << 10)
    }

    fn look_at(&mut self, place: String, open: &mut Vec<String>) -> Result<(), String> {
        let mut found = Found::default();
        if let Some(Value::Object(members)) = self.root.pointer(&place) {
            found.is_object = true;
            self.charge(&place, members.len() + 1)?;
            for key in ["$id", "$schema"] {
                if !place.is_empty() && members.contains_key(key) {
                    return Err(format!("{key} stands at #{place}: only the whole schema may have one"));
                }
            }
            self.subschemas(members, &place, &mut found, open)?;
            self.references(members, &place, &mut found)?;
            self.keywords(members, &mut found)?;
            open.extend(found.here.iter().cloned());
        }
        self.found.insert(place, found);
        Ok(())
    }

    /// Counts so many places below one, before anything is made of them.
    fn charge(&mut self, place: &str, many: usize) -> Result<(), String> {
        self.place_bytes += (place.len() + 16) * many;
        if self.place_bytes <= MAX_PLACE_BYTES {
            return Ok(());
        }
        Err(format!("it is too deep and too long: the places of its keywords take more than {MAX_PLACE_BYTES} bytes"))
    }

    fn subschemas(
        &mut self,
        members: &Map<String, Value>,
        place: &str,
        found: &mut Found,
        open: &mut Vec<String>,
    ) -> Result<(), String> {
        for (key, value) in members {
            self.charge(place, value.as_array().map_or(0, Vec::len) + value.as_object().map_or(0, Map::len))?;
            let (key, at) = (key.as_str(), below(place, key));
            let by_name = HERE_BY_NAME.contains(&key) || BELOW_BY_NAME.contains(&key);
            let children: Vec<String> = match value {
                Value::Object(named) if by_name => named.keys().map(|name| below(&at, name)).collect(),
                Value::Array(list) => (0..list.len()).map(|number| below(&at, &number.to_string())).collect(),
                _ => vec![at],
            };
            // What is no schema there (names that depend on a name) is nothing to look at.
            let is_schema =
                |child: &String| self.root.pointer(child).is_some_and(|it| it.is_object() || it.is_boolean());
            let children = children.into_iter().filter(is_schema);
            if HERE.contains(&key) || HERE_BY_NAME.contains(&key) {
                found.here.extend(children);
            } else if BELOW.contains(&key) || BELOW_BY_NAME.contains(&key) {
                open.extend(children);
            }
        }
        Ok(())
    }

    fn references(&mut self, members: &Map<String, Value>, place: &str, found: &mut Found) -> Result<(), String> {
        for &key in REFS {
            let Some(Value::String(text)) = members.get(key) else { continue };
            let target = self.target(text).map_err(|why| format!("{key} {text:?} at #{place} {why}"))?;
            self.charge(&target, 2)?;
            found.here.push(target.clone());
            found.refs.insert(key, target);
        }
        Ok(())
    }

    fn keywords(&mut self, members: &'a Map<String, Value>, found: &mut Found) -> Result<(), String> {
        for (key, value) in members {
            let key = key.as_str();
            if key == KEYWORD {
                return Err(format!("{KEYWORD:?} is no keyword of a schema"));
            }
            let inner = [HERE, HERE_BY_NAME, BELOW, BELOW_BY_NAME, REFS, WORDS].iter().any(|keys| keys.contains(&key));
            match value {
                Value::String(text) if key == "pattern" => self.pattern(text, found)?,
                Value::Object(named) if key == "patternProperties" => {
                    for text in named.keys() {
                        self.pattern(text, found)?;
                    }
                }
                Value::Object(named) if key == "properties" => found.own += 8 * named.len() as u64,
                _ if !inner => found.own += size_of(value) as u64,
                _ => {}
            }
            found.compares |= matches!(key, "enum" | "const" | "uniqueItems");
            found.unevaluated |= matches!(key, "unevaluatedProperties" | "unevaluatedItems");
        }
        Ok(())
    }

    fn pattern(&mut self, text: &'a str, found: &mut Found) -> Result<(), String> {
        let size = positions(text);
        found.positions = found.positions.saturating_add(size);
        if self.patterns.insert(text) {
            self.positions = self.positions.saturating_add(size);
        }
        if self.patterns.len() > MAX_PATTERNS {
            return Err(format!("it has more than {MAX_PATTERNS} different patterns"));
        }
        if self.positions > MAX_PATTERN_POSITIONS {
            return Err(format!(
                "its patterns are too large: with repetitions written out they are more than {MAX_PATTERN_POSITIONS} \
                 characters together"
            ));
        }
        Ok(())
    }

    /// Where a reference leads: a place in this document.
    fn target(&self, text: &str) -> Result<String, &'static str> {
        let (base, fragment) = text.split_once('#').unwrap_or((text, ""));
        if !base.is_empty() && base != self.id {
            return Err("leaves the document");
        }
        let fragment = percent_decoded(fragment).ok_or("is not UTF-8")?;
        let place = if fragment.is_empty() || fragment.starts_with('/') {
            fragment.split('/').skip(1).fold(String::new(), |place, token| below(&place, &plain(token)))
        } else {
            self.anchors.get(fragment.as_str()).cloned().ok_or("leads nowhere")?
        };
        if self.root.pointer(&place).is_none_or(|target| !target.is_object() && !target.is_boolean()) {
            return Err("leads to no schema");
        }
        let tokens: Vec<&str> = place.split('/').collect();
        let in_value = tokens.windows(2).any(|pair| {
            matches!(pair[1], "enum" | "const") && !HERE_BY_NAME.contains(&pair[0]) && !BELOW_BY_NAME.contains(&pair[0])
        });
        if in_value { Err("leads into a value") } else { Ok(place) }
    }

    fn collect_anchors(&mut self, value: &'a Value, place: &str) -> Result<(), String> {
        match value {
            Value::Array(items) => items
                .iter()
                .enumerate()
                .try_for_each(|(at, item)| self.collect_anchors(item, &below(place, &at.to_string()))),
            Value::Object(members) => {
                let names = ["$anchor", "$dynamicAnchor"].iter().filter_map(|key| members.get(*key)?.as_str());
                for name in names.collect::<BTreeSet<_>>() {
                    self.charge(place, 1)?;
                    if self.anchors.insert(name, place.to_owned()).is_some() {
                        return Err(format!("anchor {name:?} is there twice"));
                    }
                }
                members.iter().try_for_each(|(key, member)| self.collect_anchors(member, &below(place, key)))
            }
            _ => Ok(()),
        }
    }

    /// Counts for each subschema how many meet where it is asked, children before parents.
    fn measure(&mut self) -> Result<(), String> {
        let mut done: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for start in self.found.keys() {
            let mut path: Vec<(&str, usize)> = vec![(start, 0)];
            let mut on_path: BTreeSet<&str> = BTreeSet::from([start.as_str()]);
            while let Some((place, next)) = path.pop() {
                let here = self.found.get(place).map_or(&[][..], |found| &found.here);
                if done.contains_key(place) {
                    on_path.remove(place);
                } else if let Some(child) = here.get(next) {
                    path.push((place, next + 1));
                    if !done.contains_key(child.as_str()) {
                        if !on_path.insert(child) {
                            return Err(format!("#{child} refers to itself without going deeper into the result"));
                        }
                        path.push((child, 0));
                    }
                } else {
                    let of = here.iter().map(|child| done.get(child.as_str()).copied().unwrap_or((1, 1)));
                    let (size, chain) =
                        of.fold((0, 0), |all: (u64, u64), one| (all.0.saturating_add(one.0), all.1.max(one.1)));
                    let measured = (size.saturating_add(1), chain + 1);
                    check(place, measured)?;
                    done.insert(place, measured);
                    on_path.remove(place);
                }
            }
        }
        let sizes: Vec<u64> = self.found.keys().map(|place| done.get(place.as_str()).map_or(1, |it| it.0)).collect();
        self.found.values_mut().zip(sizes).for_each(|(found, size)| found.size = size);
        Ok(())
    }
}

fn check(place: &str, (size, chain): (u64, u64)) -> Result<(), String> {
    if size > MAX_EXPANSION {
        return Err(format!(
            "it expands too far: at #{place}, $ref, anyOf and the like ask for more than {MAX_EXPANSION} subschemas for \
             one place of a result"
        ));
    }
    if chain > MAX_CHAIN {
        return Err(format!(
            "it refers too far: at #{place}, $ref, anyOf and the like lead through more than {MAX_CHAIN} subschemas"
        ));
    }
    Ok(())
}

/// A place one step further down.
pub(super) fn below(place: &str, key: &str) -> String {
    format!("{place}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// A token of a JSON Pointer as it stands in a reference.
pub(super) fn into(token: &str) -> String {
    let mut text = String::with_capacity(token.len());
    for byte in token.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'$' => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

fn plain(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let byte = after
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).ok()
}

/// Bytes of a value as JSON, about.
fn size_of(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(|item| 1 + size_of(item)).sum::<usize>() + 2,
        Value::Object(members) => {
            members.iter().map(|(key, member)| key.len() + 4 + size_of(member)).sum::<usize>() + 2
        }
        _ => 4,
    }
}
