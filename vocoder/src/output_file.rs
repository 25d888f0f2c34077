//! Output files that appear whole or not at all.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::{Error, Result};

/// A file under a temporary name in its target's folder. [`OutputFile::finish`] brings it to disk
/// and gives it its name in one step; dropped before that, it leaves nothing.
pub struct OutputFile {
    temporary: NamedTempFile,
    path: PathBuf,
}

impl OutputFile {
    /// Begins a file that will be called `path`. What `path` holds stays until the end.
    ///
    /// # Errors
    /// A folder that is missing or not writable, or a `path` that is a folder or a device.
    pub fn create(path: &Path) -> Result<Self> {
        if path.exists() && !path.is_file() {
            return Err(Error::file(path, "expected a regular file, got a folder or a device"));
        }
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".").suffix(".part");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // As any new file: the user's mask is applied to this. The default is private.
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let temporary = builder.tempfile_in(folder).map_err(|error| Error::io(path, error))?;
        Ok(OutputFile { temporary, path: path.to_path_buf() })
    }

    /// The name that the file will have.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A buffered handle to write and seek with. Flush it before [`OutputFile::finish`].
    ///
    /// # Errors
    /// When the system has no handle left.
    pub fn writer(&self) -> Result<BufWriter<File>> {
        let handle = self.temporary.as_file().try_clone();
        Ok(BufWriter::new(handle.map_err(|error| Error::io(&self.path, error))?))
    }

    /// Brings the content to disk and gives the file its name.
    ///
    /// # Errors
    /// A full disk, or a name that can't be given.
    pub fn finish(self) -> Result<()> {
        self.temporary.as_file().sync_all().map_err(|error| Error::io(&self.path, error))?;
        let persisted = self.temporary.persist(&self.path);
        persisted.map_err(|error| Error::io(&self.path, error.error))?;
        Ok(())
    }
}

/// Writes `bytes` as the whole content of `path`, at once or not at all.
///
/// # Errors
/// As [`OutputFile::create`] and [`OutputFile::finish`].
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let file = OutputFile::create(path)?;
    file.temporary.as_file().write_all(bytes).map_err(|error| Error::io(path, error))?;
    file.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.bin");
        write_whole(&path, b"first").unwrap();

        let file = OutputFile::create(&path).unwrap();
        file.writer().unwrap().write_all(b"second").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"first");
        drop(file);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);

        let file = OutputFile::create(&path).unwrap();
        file.writer().unwrap().write_all(b"third").unwrap();
        file.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"third");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn folders_and_missing_folders_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(OutputFile::create(folder.path()).is_err());
        let missing = folder.path().join("missing").join("out.bin");
        let message = OutputFile::create(&missing).err().unwrap().to_string();
        assert!(message.contains("out.bin"), "{message}");
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_never_replaced() {
        assert!(OutputFile::create(Path::new("/dev/null")).is_err());
    }
}
