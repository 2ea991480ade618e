//! The small files beside the segments: each written whole under another name, then put in place at once.

use std::io;

use crate::folder::{Folder, StoredFile as _};

const FRONT: &str = "front";
const ID: &str = "id";
const HEAD: &str = "weir-buffer 1 front ";

/// The stored front; `None` if none is stored, or the file says nothing that could be one.
pub(crate) fn load(folder: &impl Folder) -> io::Result<Option<u64>> {
    let text = read(folder, FRONT)?;
    let number = text.as_deref().and_then(|text| text.strip_prefix(HEAD)?.strip_suffix('\n')?.parse().ok());
    if text.is_some() && number.is_none() {
        tracing::warn!("the buffer's file `front` is damaged; everything that is still there is read again");
    }
    Ok(number)
}

pub(crate) fn store(folder: &impl Folder, front: u64) -> io::Result<()> {
    write(folder, FRONT, &format!("{HEAD}{front}\n"))
}

/// The buffer's id; a new one if there is none.
pub(crate) fn id(folder: &impl Folder) -> io::Result<String> {
    let is_id = |text: &str| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if let Some(id) = read(folder, ID)?.map(|text| text.trim_end().to_owned()).filter(|text| is_id(text)) {
        return Ok(id);
    }
    let id = uuid::Uuid::new_v4().simple().to_string();
    write(folder, ID, &format!("{id}\n"))?;
    Ok(id)
}

/// The beginning of a small file.
fn read(folder: &impl Folder, name: &str) -> io::Result<Option<String>> {
    let file = match folder.open(name) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = [0; 128];
    let length = file.read_at(&mut bytes, 0)?;
    Ok(Some(String::from_utf8_lossy(&bytes[..length]).into_owned()))
}

fn write(folder: &impl Folder, name: &str, text: &str) -> io::Result<()> {
    let other = format!("{name}.new");
    let file = folder.create(&other)?;
    file.write_at(text.as_bytes(), 0)?;
    file.sync()?;
    folder.rename(&other, name)?;
    folder.sync()
}
