//! Vectors where they are stored.

/// 32-bit floats as stored: little-endian, not aligned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VectorRef<'a>(&'a [u8]);

impl<'a> VectorRef<'a> {
    /// The vector whose little-endian bytes these are; excess bytes past the last whole float are not part of it.
    pub fn from_bytes(bytes: &'a [u8]) -> Self {
        Self(&bytes[..bytes.len() / 4 * 4])
    }

    /// How many floats it has.
    pub fn len(self) -> usize {
        self.0.len() / 4
    }

    /// Whether it has none.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Its floats.
    pub fn iter(self) -> impl ExactSizeIterator<Item = f32> + Clone + 'a {
        self.0.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    }

    /// Its floats in place, where they lie at a multiple of 4 in memory and as the processor has them: mostly in a database
    /// file, whose vectors are columns.
    pub fn as_floats(self) -> Option<&'a [f32]> {
        if cfg!(target_endian = "little") { bytemuck::try_cast_slice(self.0).ok() } else { None }
    }

    /// A copy.
    pub fn to_vec(self) -> Vec<f32> {
        self.as_floats().map_or_else(|| self.iter().collect(), <[f32]>::to_vec)
    }

    /// The stored bytes.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}
