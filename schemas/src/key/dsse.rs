//! DSSE v1 envelopes: a payload of a named type, signed as exact bytes.
//!
//! Format: the Dead Simple Signing Envelope, protocol and JSON envelope of version 1.0.2, narrowed: one signature,
//! whose `keyid` is the SSH fingerprint of an Ed25519 key; standard padded base64; at most 64 KiB of JSON; no unknown
//! and no repeated key.
//!
//! Invariant: the payload leaves an envelope only through [`Envelope::verify`].

use std::fmt;

use data_encoding::BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{
    object,
    openssh::{KeyError, PrivateKey, PublicKey},
};

/// Most bytes of an envelope's JSON.
pub const MAX_ENVELOPE_BYTES: usize = 64 * 1024;

/// Most bytes of a payload type.
pub const MAX_PAYLOAD_TYPE_BYTES: usize = 128;

/// Why an envelope was not made or not accepted.
#[derive(Debug, thiserror::Error)]
pub enum DsseError {
    /// More than 64 KiB.
    #[error("envelope is {found} bytes, at most {MAX_ENVELOPE_BYTES} are allowed")]
    TooLong {
        /// Bytes of the envelope as JSON.
        found: usize,
    },
    /// Not the JSON of an envelope.
    #[error("envelope is not the JSON of a DSSE envelope")]
    Json(#[source] serde_json::Error),
    /// A field with the right JSON type and a wrong content.
    #[error("envelope field `{field}` {reason}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// None, or more than one signature.
    #[error("envelope has {found} signatures, exactly one is expected")]
    SignatureCount {
        /// How many there are.
        found: usize,
    },
    /// A payload of another type.
    #[error("envelope field `payloadType` is `{found}`, expected `{expected}`")]
    PayloadType {
        /// The type that the verifier asks for.
        expected: String,
        /// The type in the envelope.
        found: String,
    },
    /// Signed by another key than expected.
    #[error("envelope is signed by key `{found}`, expected `{expected}`")]
    OtherKey {
        /// Fingerprint of the expected key.
        expected: String,
        /// The `keyid` in the envelope.
        found: String,
    },
    /// The payload, its type or the signature was changed.
    #[error("envelope signature does not fit its payload")]
    BadSignature(#[source] KeyError),
}

/// A signed payload, not yet verified unless it was made here; its serde form is the JSON envelope.
#[derive(Clone, PartialEq, Eq)]
pub struct Envelope {
    payload_type: String,
    payload: Vec<u8>,
    keyid: String,
    signature: [u8; 64],
}

impl Envelope {
    /// Signs `payload`; refuses what would not fit into 64 KiB of JSON.
    pub fn sign(key: &PrivateKey, payload_type: &str, payload: &[u8]) -> Result<Self, DsseError> {
        check_payload_type(payload_type)?;
        let encoded = BASE64.encode_len(payload.len());
        if encoded > MAX_ENVELOPE_BYTES {
            return Err(DsseError::TooLong { found: encoded });
        }
        let envelope = Self {
            payload_type: payload_type.to_owned(),
            payload: payload.to_vec(),
            keyid: key.public_key().fingerprint(),
            signature: key.sign(&pae(payload_type, payload)),
        };
        envelope.to_json()?;
        Ok(envelope)
    }

    /// Reads an envelope from JSON.
    pub fn parse(json: &[u8]) -> Result<Self, DsseError> {
        check_length(json.len())?;
        Self::from_wire(object::document(json).map_err(DsseError::Json)?)
    }

    /// Writes the envelope as compact JSON.
    pub fn to_json(&self) -> Result<String, DsseError> {
        let json = serde_json::to_string(self).map_err(DsseError::Json)?;
        check_length(json.len())?;
        Ok(json)
    }

    /// Verifies that `expected` signed this payload as `payload_type`, and gives the exact payload bytes.
    pub fn verify(&self, expected: &PublicKey, payload_type: &str) -> Result<&[u8], DsseError> {
        if self.payload_type != payload_type {
            return Err(DsseError::PayloadType { expected: payload_type.to_owned(), found: self.payload_type.clone() });
        }
        let fingerprint = expected.fingerprint();
        if self.keyid != fingerprint {
            return Err(DsseError::OtherKey { expected: fingerprint, found: self.keyid.clone() });
        }
        expected.verify(&pae(payload_type, &self.payload), &self.signature).map_err(DsseError::BadSignature)?;
        Ok(&self.payload)
    }

    /// The fingerprint that the envelope claims to be signed by.
    pub fn claimed_keyid(&self) -> &str {
        &self.keyid
    }

    fn from_wire(wire: Wire) -> Result<Self, DsseError> {
        let [signature] = <[WireSignature; 1]>::try_from(wire.signatures)
            .map_err(|signatures| DsseError::SignatureCount { found: signatures.len() })?;
        check_payload_type(&wire.payload_type)?;
        check_keyid(&signature.keyid)?;
        let sig = base64("sig", &signature.sig)?;
        Ok(Self {
            payload: base64("payload", &wire.payload)?,
            payload_type: wire.payload_type,
            keyid: signature.keyid,
            signature: sig.try_into().map_err(|_| DsseError::Field { field: "sig", reason: "is not 64 bytes" })?,
        })
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Envelope({} of {} bytes by {})", self.payload_type, self.payload.len(), self.keyid)
    }
}

impl Serialize for Envelope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let signature = WireSignature { keyid: self.keyid.clone(), sig: BASE64.encode(&self.signature) };
        Wire {
            payload_type: self.payload_type.clone(),
            payload: BASE64.encode(&self.payload),
            signatures: vec![signature],
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Envelope {
    /// As [`Envelope::parse`]; the size that counts here is the one the envelope has as compact JSON.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let envelope = object::field(deserializer).and_then(|wire| Self::from_wire(wire).map_err(de::Error::custom))?;
        envelope.to_json().map_err(de::Error::custom)?;
        Ok(envelope)
    }
}

/// The envelope as JSON has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Wire {
    payload_type: String,
    payload: String,
    #[serde(deserialize_with = "object::list")]
    signatures: Vec<WireSignature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSignature {
    keyid: String,
    sig: String,
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Envelope {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "DsseEnvelope".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let text = |description: &str| schemars::json_schema!({ "type": "string", "description": description });
        schemars::json_schema!({
            "type": "object",
            "description": "A DSSE v1 envelope with one Ed25519 signature.",
            "properties": {
                "payloadType": text("Media type of the payload, at most 128 bytes of printable ASCII."),
                "payload": text("The exact payload in padded base64."),
                "signatures": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 1,
                    "items": {
                        "type": "object",
                        "properties": {
                            "keyid": text("SSH fingerprint of the key, SHA256: and 43 characters."),
                            "sig": text("64 bytes in padded base64, over the pre-authentication encoding."),
                        },
                        "required": ["keyid", "sig"],
                        "additionalProperties": false,
                    },
                },
            },
            "required": ["payloadType", "payload", "signatures"],
            "additionalProperties": false,
        })
    }
}

/// Pre-authentication encoding: `DSSEv1`, then length and bytes of type and payload, parted by single spaces.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut encoded = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    encoded.extend_from_slice(payload);
    encoded
}

fn base64(field: &'static str, text: &str) -> Result<Vec<u8>, DsseError> {
    BASE64
        .decode(text.as_bytes())
        .map_err(|_| DsseError::Field { field, reason: "is not standard base64 with padding" })
}

fn check_length(found: usize) -> Result<(), DsseError> {
    if found > MAX_ENVELOPE_BYTES { Err(DsseError::TooLong { found }) } else { Ok(()) }
}

fn check_payload_type(payload_type: &str) -> Result<(), DsseError> {
    let fits = (1..=MAX_PAYLOAD_TYPE_BYTES).contains(&payload_type.len());
    if fits && payload_type.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(DsseError::Field {
        field: "payloadType",
        reason: "is empty, longer than 128 bytes, or not printable ASCII without spaces",
    })
}

/// `SHA256:` and 43 characters: the shape of a fingerprint, so that a message may repeat it.
fn check_keyid(keyid: &str) -> Result<(), DsseError> {
    if keyid.len() == 50 && keyid.starts_with("SHA256:") && keyid.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(DsseError::Field { field: "keyid", reason: "is not an SSH fingerprint (`SHA256:` and 43 base64 characters)" })
}

#[cfg(test)]
mod tests;
