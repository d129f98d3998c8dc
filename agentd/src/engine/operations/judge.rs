//! Judging results by machine: compiled schemas are kept, because most works of a class share theirs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use agentd_schemas::event::{Criterion, Verdict};
use agentd_schemas::problem::Problem;
use agentd_schemas::strict::{DocumentError, ErrorKind, Limits, json};

use crate::domain::work::judge::{Validator, blank_verdicts, compile, complaints};

/// Compiled schemas that are kept, at most.
pub const MAX_VALIDATORS: usize = 256;

/// A result may be as rich as its bytes allow; what two readers could read differently meets no schema.
const RESULT: Limits = Limits { max_bytes: usize::MAX, max_depth: 127, max_keys: usize::MAX, max_values: usize::MAX };

/// Compiled schemas by the digest of their criterion.
#[derive(Default)]
pub struct Validators {
    compiled: Mutex<HashMap<String, Arc<Validator>>>,
}

impl Validators {
    fn get(&self, digest: &str, schema: &serde_json::Value) -> Result<Arc<Validator>, Problem> {
        let mut compiled = self.compiled.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(validator) = compiled.get(digest) {
            return Ok(validator.clone());
        }
        let validator = Arc::new(compile(schema).map_err(Problem::internal)?);
        if compiled.len() >= MAX_VALIDATORS {
            compiled.clear();
        }
        compiled.insert(digest.to_owned(), validator.clone());
        Ok(validator)
    }

    /// What the machine criteria say of a result; persons stay undecided.
    pub fn judge(
        &self,
        criteria: &[Criterion],
        schemas: &[Option<serde_json::Value>],
        result: &str,
    ) -> Result<Judgement, Problem> {
        let mut verdicts = blank_verdicts(criteria);
        let mut messages = Vec::new();
        let asked = criteria.iter().any(|criterion| matches!(criterion, Criterion::JsonSchema { .. }));
        let json: Result<serde_json::Value, DocumentError> = json::from_slice(result.as_bytes(), &RESULT);
        if !asked {
            return Ok(Judgement { verdicts, message: None, json: json.is_ok() });
        }
        for (place, criterion) in criteria.iter().enumerate() {
            let Criterion::JsonSchema { sha256 } = criterion else { continue };
            let schema = schemas.get(place).and_then(Option::as_ref);
            let schema = schema.ok_or_else(|| {
                Problem::new(
                    agentd_schemas::problem::Code::Redacted,
                    "the criteria of this work were erased: it cannot be judged",
                )
                .hint("a person can cancel the work and submit it anew")
            })?;
            let said = match &json {
                Ok(json) => complaints(&*self.get(sha256, schema)?, json),
                Err(error) if *error.kind() == ErrorKind::Syntax => Some("/: the result is not JSON".to_owned()),
                Err(error) => Some(format!("/: {}", error.message())),
            };
            verdicts[place].met = Some(said.is_none());
            messages.extend(said.map(|said| format!("criterion {}: {said}", place + 1)));
        }
        let message = (!messages.is_empty()).then(|| messages.join("\n"));
        Ok(Judgement { verdicts, message, json: json.is_ok() })
    }
}

/// What the machine criteria said.
pub struct Judgement {
    /// One per criterion.
    pub verdicts: Vec<Verdict>,
    /// What they complained about.
    pub message: Option<String>,
    /// Whether the result is JSON.
    pub json: bool,
}
