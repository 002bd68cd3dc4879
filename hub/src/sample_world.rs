//! Placeholder.
/// World.
#[derive(Debug)]
pub struct World {
    /// s
    pub seed: u64,
    /// p
    pub passes: u32,
    /// t
    pub today: jiff::civil::Date,
}
impl World {
    /// w
    pub fn write(&self, _: &mut impl std::io::Write) -> std::io::Result<()> {
        Ok(())
    }
}
