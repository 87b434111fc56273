//! Row keys: order-preserving bytes that say what a row belongs to.
//!
//! | bytes | meaning |
//! |---|---|
//! | 1 | kind of the object: each kind is a namespace of its own |
//! | n | object path, UTF-8, names joined by `/`, no NUL |
//! | 1 | 0 |
//! | rest | element: what the view makes of it, possibly empty |
//!
//! All rows of an object share a prefix that no other object's rows have, and sort by element.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::codec::BoundedBytes;
use crate::error::KeyError;
use crate::limits::{KEY_BYTES, PATH_DEPTH};

/// What kind of object a row belongs to. Kinds that this version does not know are stored and relayed all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(pub u8);

impl Kind {
    /// [`crate::crdt::PnCounter`].
    pub const PN_COUNTER: Self = Self(1);
    /// [`crate::crdt::GCounter`].
    pub const G_COUNTER: Self = Self(2);
    /// [`crate::crdt::OrSet`].
    pub const OR_SET: Self = Self(3);
    /// [`crate::crdt::LwwMap`].
    pub const LWW_MAP: Self = Self(4);
    /// [`crate::crdt::LwwRegister`].
    pub const LWW_REGISTER: Self = Self(5);
    /// [`crate::crdt::MvRegister`].
    pub const MV_REGISTER: Self = Self(6);
    /// [`crate::crdt::Flag`].
    pub const FLAG: Self = Self(7);
    /// [`crate::crdt::List`].
    pub const LIST: Self = Self(8);
    /// [`crate::crdt::Log`].
    pub const LOG: Self = Self(9);
    /// An Automerge document; core knows what it holds with the feature `document`.
    pub const DOCUMENT: Self = Self(10);
    /// [`crate::crdt::OnceView`].
    pub const ONCE: Self = Self(12);
    /// [`crate::crdt::BoundedCounter`].
    pub const BOUNDED_COUNTER: Self = Self(11);

    /// The kinds that this version knows, and what people call them.
    pub const KNOWN: [(Self, &'static str); 12] = [
        (Self::PN_COUNTER, "counter"),
        (Self::G_COUNTER, "growing-counter"),
        (Self::OR_SET, "set"),
        (Self::LWW_MAP, "map"),
        (Self::LWW_REGISTER, "register"),
        (Self::MV_REGISTER, "multi-register"),
        (Self::FLAG, "flag"),
        (Self::LIST, "list"),
        (Self::LOG, "log"),
        (Self::DOCUMENT, "doc"),
        (Self::BOUNDED_COUNTER, "bounded-counter"),
        (Self::ONCE, "once"),
    ];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::KNOWN.iter().find(|(kind, _)| kind == self) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "kind-{}", self.0),
        }
    }
}

/// The key of one row. Compares as its bytes do.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey(Arc<[u8]>);

impl RowKey {
    /// The key with these bytes, if they are well formed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.len() > KEY_BYTES {
            return Err(KeyError::TooLong);
        }
        let path = bytes.get(1..).unwrap_or_default();
        let end = path.iter().position(|byte| *byte == 0).ok_or(KeyError::Path)?;
        check_path(core::str::from_utf8(&path[..end]).map_err(|_| KeyError::Path)?)?;
        Ok(Self(bytes.into()))
    }

    /// All its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The kind of its object.
    pub fn kind(&self) -> Kind {
        Kind(self.0[0])
    }

    /// The path of its object.
    pub fn path(&self) -> &str {
        core::str::from_utf8(&self.0[1..self.path_end()]).expect("a key holds a checked path")
    }

    /// The element within the object.
    pub fn element(&self) -> &[u8] {
        &self.0[self.path_end() + 1..]
    }

    /// The object that it belongs to.
    pub fn object(&self) -> Object {
        Object { prefix: self.0[..=self.path_end()].into() }
    }

    fn path_end(&self) -> usize {
        1 + self.0[1..].iter().position(|byte| *byte == 0).expect("a key holds a terminated path")
    }
}

impl Borrow<[u8]> for RowKey {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}[", self.kind().0, self.path())?;
        self.element().iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("]")
    }
}

impl Serialize for RowKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for RowKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = BoundedBytes::<KEY_BYTES>::deserialize(deserializer)?;
        Self::from_bytes(&bytes).map_err(de::Error::custom)
    }
}

/// The address of one object: its kind and its path. Two replicas that make the same object apart make one object.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Object {
    prefix: Arc<[u8]>,
}

impl Object {
    /// The object of `kind` at `path`: one to 32 non-empty names joined by `/`.
    pub fn new(kind: Kind, path: &str) -> Result<Self, KeyError> {
        check_path(path)?;
        let mut prefix = Vec::with_capacity(path.len() + 2);
        prefix.push(kind.0);
        prefix.extend_from_slice(path.as_bytes());
        prefix.push(0);
        if prefix.len() > KEY_BYTES {
            return Err(KeyError::TooLong);
        }
        Ok(Self { prefix: prefix.into() })
    }

    /// The bytes that all its row keys begin with.
    pub fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// Bytes above all its row keys and below those of any other object that is above it.
    pub(crate) fn end(&self) -> Vec<u8> {
        let mut end = self.prefix.to_vec();
        *end.last_mut().expect("a prefix ends with a zero") = 1;
        end
    }

    /// Where the rows below an element end, or all of them.
    pub(crate) fn bytes_below(&self, element: Option<&[u8]>) -> Result<Vec<u8>, KeyError> {
        element.map_or_else(|| Ok(self.end()), |element| Ok(self.row(element)?.as_bytes().to_vec()))
    }

    /// The key of its row `element`.
    pub fn row(&self, element: &[u8]) -> Result<RowKey, KeyError> {
        if self.prefix.len() + element.len() > KEY_BYTES {
            return Err(KeyError::TooLong);
        }
        Ok(RowKey(self.prefix.iter().chain(element).copied().collect()))
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        RowKey(self.prefix.clone()).fmt(f)
    }
}

fn check_path(path: &str) -> Result<(), KeyError> {
    if path.contains('\0') || path.split('/').any(str::is_empty) {
        return Err(KeyError::Path);
    }
    if path.split('/').count() > PATH_DEPTH {
        return Err(KeyError::TooDeep);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn a_key_gives_back_its_parts() {
        let object = Object::new(Kind::LWW_MAP, "tasks/today").unwrap();
        let key = object.row(&[1, 0, 2]).unwrap();
        assert_eq!((key.kind(), key.path(), key.element()), (Kind::LWW_MAP, "tasks/today", &[1, 0, 2][..]));
        assert_eq!(key.object(), object);
        assert_eq!(RowKey::from_bytes(key.as_bytes()).unwrap(), key);
    }

    #[test]
    fn rows_of_one_object_never_fall_between_those_of_another() {
        let [a, ab] = ["a", "a/b"].map(|path| Object::new(Kind::OR_SET, path).unwrap());
        assert!(!ab.prefix().starts_with(a.prefix()));
        assert!(a.row(&[255; 9]).unwrap() < ab.row(&[]).unwrap());
    }

    #[test]
    fn bad_paths_and_long_keys_are_refused() {
        for path in ["", "/", "a/", "/a", "a//b", "a\0b"] {
            assert_eq!(Object::new(Kind(1), path), Err(KeyError::Path), "{path:?}");
        }
        let deep = format!("a{}", "/a".repeat(PATH_DEPTH));
        assert_eq!(Object::new(Kind(1), &deep), Err(KeyError::TooDeep));
        assert!(Object::new(Kind(1), &deep[2..]).is_ok());
        let object = Object::new(Kind(1), "abc").unwrap();
        assert!(object.row(&[0; KEY_BYTES - 5]).is_ok());
        assert_eq!(object.row(&[0; KEY_BYTES - 4]), Err(KeyError::TooLong));
        assert_eq!(RowKey::from_bytes(&[]), Err(KeyError::Path));
        assert_eq!(RowKey::from_bytes(b"\x01abc"), Err(KeyError::Path));
        assert_eq!(RowKey::from_bytes(b"\x01\xff\0"), Err(KeyError::Path));
    }
}
