//! A [`FileLoader`] over this host's files, for the executables to hand in.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::source::{FileLoader, Program};

/// More than this is no configuration.
const LARGEST: u64 = 64 << 20;

/// This host's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileSystem;

/// What `@ID` lines are compared with where nothing else is named: this host's name up to the first dot.
pub fn host_id() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    name.trim().split('.').next().filter(|name| !name.is_empty()).map(str::to_owned)
}

impl FileLoader for FileSystem {
    fn read(&self, path: &str) -> Result<String, String> {
        let metadata = fs::metadata(path).map_err(|e| e.to_string())?;
        if metadata.is_dir() {
            return Err("it is a directory".into());
        }
        if metadata.len() > LARGEST {
            return Err(format!("{} bytes are too many; {LARGEST} at most", metadata.len()));
        }
        let bytes = fs::read(path).map_err(|e| e.to_string())?;
        String::from_utf8(bytes)
            .map_err(|e| format!("not valid UTF-8 at byte {}", e.utf8_error().valid_up_to()))
    }

    fn expand(&self, from: &str, pattern: &str) -> Result<Vec<String>, String> {
        let base = Path::new(from).parent().unwrap_or(Path::new("."));
        let mut found = Vec::new();
        for alternative in alternatives(pattern)? {
            found.extend(matching(base, &alternative)?);
        }
        Ok(found)
    }

    fn program(&self, name: &str) -> Program {
        if name.contains('/') {
            return look_at(Path::new(name));
        }
        let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin:/usr/sbin:/sbin".into());
        path.split(':')
            .map(|directory| look_at(&Path::new(directory).join(name)))
            .find(|program| *program != Program::Missing)
            .unwrap_or(Program::Missing)
    }
}

fn look_at(path: &Path) -> Program {
    let Ok(metadata) = fs::metadata(path) else { return Program::Missing };
    if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
        return Program::NotExecutable;
    }
    // Whoever may write a directory on the way can put another program in its place; the sticky bit prevents it.
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let open = |path: &Path| {
        fs::metadata(path).is_ok_and(|m| {
            let others = m.mode() & 0o002 != 0 || m.mode() & 0o020 != 0 && m.gid() != 0;
            others && !(m.is_dir() && m.mode() & 0o1000 != 0)
        })
    };
    Program::Runs { writable_by_others: real.ancestors().any(open) }
}

/// The files below `base` that a pattern without braces names, sorted. One without wildcards is itself.
fn matching(base: &Path, pattern: &str) -> Result<Vec<String>, String> {
    let mut found = vec![if pattern.starts_with('/') { PathBuf::from("/") } else { base.to_owned() }];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        if !part.contains(['*', '?', '[']) {
            for path in &mut found {
                path.push(part);
            }
            continue;
        }
        let mut next = Vec::new();
        for directory in &found {
            let entries = match fs::read_dir(directory) {
                Ok(entries) => entries,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(format!("{}: {error}", directory.display())),
            };
            let names = entries.flatten().filter_map(|e| e.file_name().into_string().ok());
            next.extend(
                names
                    .filter(|name| name.starts_with('.') == part.starts_with('.'))
                    .filter(|name| matches(part.as_bytes(), name.as_bytes()))
                    .map(|name| directory.join(name)),
            );
        }
        next.sort();
        found = next;
    }
    Ok(found.into_iter().map(|path| path.display().to_string()).collect())
}

/// Whether `name` fits a shell pattern with `*`, `?` and `[...]`. Without recursion: the last `*` is gone back to.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        let step = match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
                continue;
            }
            Some(b'?') => Some(1),
            Some(b'[') => class(&pattern[p..], name[n]),
            Some(literal) => (*literal == name[n]).then_some(1),
            None => None,
        };
        match (step, star) {
            (Some(width), _) => (p, n) = (p + width, n + 1),
            (None, Some((at, seen))) => {
                star = Some((at, seen + 1));
                (p, n) = (at + 1, seen + 1);
            }
            (None, None) => return false,
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

/// The width of the `[...]` that `pattern` starts with, if `byte` is in it.
fn class(pattern: &[u8], byte: u8) -> Option<usize> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let first = if negated { 2 } else { 1 };
    let end = first + 1 + pattern.get(first + 1..)?.iter().position(|c| *c == b']')?;
    let set = &pattern[first..end];
    let (mut inside, mut i) = (false, 0);
    while i < set.len() {
        if set.get(i + 1) == Some(&b'-') && i + 2 < set.len() {
            inside |= (set[i]..=set[i + 2]).contains(&byte);
            i += 3;
        } else {
            inside |= set[i] == byte;
            i += 1;
        }
    }
    (inside != negated).then_some(end + 1)
}

/// `a{b,c{d,e}}` as `ab`, `acd`, `ace`.
fn alternatives(pattern: &str) -> Result<Vec<String>, String> {
    let mut done = Vec::new();
    let mut open = vec![pattern.to_owned()];
    while let Some(text) = open.pop() {
        if done.len() + open.len() > 1000 {
            return Err(format!("{pattern} has too many alternatives"));
        }
        let Some(end) = text.find('}') else {
            done.push(text);
            continue;
        };
        let Some(start) = text[..end].rfind('{') else {
            return Err(format!("{pattern} has a `}}` without a `{{`"));
        };
        let parts: Vec<&str> = text[start + 1..end].split(',').collect();
        for part in parts.iter().rev() {
            open.push(format!("{}{part}{}", &text[..start], &text[end + 1..]));
        }
    }
    // Nested braces give what stands beside them more than once.
    let mut seen = std::collections::BTreeSet::new();
    done.retain(|text| seen.insert(text.clone()));
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.conf.bak", false),
            ("vi_?.*", "vi_1.conf", true),
            ("vi_[0-4]*", "vi_5", false),
            ("vi_[!0-4]*", "vi_5", true),
            ("*a*b", "xaybzb", true),
            ("[", "[", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
        assert_eq!(
            alternatives("x{a,b{c,d}}").as_deref(),
            Ok(&["xa".into(), "xbc".into(), "xbd".into()][..])
        );
    }
}
