//! A stemcell's `image`: a gzipped tar with one file that counts, `root.img`. It is read as a stream; neither the
//! archive nor the image is ever held in memory or written to disk.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::error::{CpiError, Result};

const ROOT_IMAGE: &str = "root.img";
const BUFFER: usize = 256 * 1024;

/// Opens the archive and hands the image and its size in bytes to `upload`. What follows the image is read too,
/// so that a damaged archive is found by its checksum.
pub fn with_root_image<T>(
    archive: &Path,
    upload: impl FnOnce(&mut RootImage<'_>, u64) -> Result<T>,
) -> Result<T> {
    let file = File::open(archive).map_err(|error| failed(archive, &error))?;
    let decoder = MultiGzDecoder::new(BufReader::with_capacity(BUFFER, file));
    let mut tar = tar::Archive::new(decoder);
    let mut upload = Some(upload);
    let mut result = None;
    for entry in tar.entries().map_err(|error| failed(archive, &error))? {
        let mut entry = entry.map_err(|error| failed(archive, &error))?;
        let is_root_image = entry.header().entry_type().is_file()
            && entry
                .path()
                .is_ok_and(|path| path.strip_prefix(".").unwrap_or(&path) == Path::new(ROOT_IMAGE));
        if !is_root_image {
            continue;
        }
        // A second file of that name would be none that tar keeps.
        if let Some(upload) = upload.take() {
            let size = entry.size();
            let mut image = RootImage { source: &mut entry, failure: None };
            let outcome = upload(&mut image, size);
            // The archive's fault shows as a failed upload; the cause is what to tell.
            if let Some(error) = image.failure {
                return Err(failed(archive, &error));
            }
            result = Some(outcome?);
        }
    }
    // The gzip checksum stands behind the end of the tar.
    io::copy(&mut tar.into_inner(), &mut io::sink()).map_err(|error| failed(archive, &error))?;
    result.ok_or_else(|| CpiError::cloud("Root image is missing from stemcell archive"))
}

fn failed(archive: &Path, error: &io::Error) -> CpiError {
    CpiError::cloud(format!(
        "Extracting stemcell root image failed. Check task debug log for details.\n{}: {error}",
        archive.display()
    ))
}

/// The image as it comes out of the archive; remembers what went wrong with the archive.
pub struct RootImage<'a> {
    source: &'a mut dyn Read,
    failure: Option<io::Error>,
}

impl Read for RootImage<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.source.read(buffer).inspect_err(|error| {
            self.failure = Some(io::Error::new(error.kind(), error.to_string()));
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    fn archive(files: &[(&str, &[u8])]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, content) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, *content).unwrap();
        }
        file.write_all(&tar.into_inner().unwrap().finish().unwrap()).unwrap();
        file
    }

    fn read(path: &Path) -> Result<(Vec<u8>, u64)> {
        with_root_image(path, |image, size| {
            let mut content = Vec::new();
            image.read_to_end(&mut content).map_err(|error| CpiError::cloud(error.to_string()))?;
            Ok((content, size))
        })
    }

    #[test]
    fn the_image_is_found_among_other_files() {
        let file = archive(&[("stemcell.MF", b"x"), ("./root.img", b"image"), ("packages.txt", b"y")]);
        assert_eq!(read(file.path()).unwrap(), (b"image".to_vec(), 5));
    }

    #[test]
    fn an_archive_without_the_image() {
        let file = archive(&[("other.img", b"x"), ("sub/root.img", b"no")]);
        assert_eq!(read(file.path()).unwrap_err().message, "Root image is missing from stemcell archive");
    }

    #[test]
    fn an_archive_that_ends_early_or_is_none_at_all() {
        let noise: Vec<u8> =
            (0..25_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        let file = archive(&[("root.img", &noise)]);
        let whole = std::fs::read(file.path()).unwrap();
        for length in [whole.len() / 2, whole.len() - 4, 0, 5] {
            std::fs::write(file.path(), &whole[..length]).unwrap();
            let error = read(file.path()).unwrap_err();
            let text = "Extracting stemcell root image failed. Check task debug log for details.";
            assert!(error.message.starts_with(text), "{length}: {error}");
        }
        std::fs::write(file.path(), b"this is no archive, although it is long enough to be one").unwrap();
        assert!(read(file.path()).unwrap_err().message.starts_with("Extracting stemcell root image failed."));
        assert!(read(Path::new("/nonexistent")).unwrap_err().message.contains("/nonexistent"));
    }
}
