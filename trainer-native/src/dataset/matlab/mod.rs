//! MATLAB's binary files, version 5: what the official annotations of Stanford Cars, Stanford Dogs and Oxford
//! Flowers come in.
//!
//! Format: <https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf>; read like
//! <https://github.com/scipy/scipy/blob/v1.15.2/scipy/io/matlab/_mio5.py>.

mod array;
mod element;

pub use array::Array;

use crate::checkpoint::read_text;
use anyhow::{Context, Result, anyhow, bail};
use element::{Elements, Order};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Bytes before the first variable: text, version, and the order of bytes.
const HEADER_BYTES: usize = 128;

/// The variables of a file.
#[derive(Debug)]
pub struct MatFile {
    path: PathBuf,
    variables: BTreeMap<String, Array>,
}

impl MatFile {
    /// Reads a file whole.
    ///
    /// # Errors
    /// It is missing, cut short, or of another version.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            // The same words as for every other missing file.
            Err(_) => {
                return Err(read_text(path)
                    .err()
                    .unwrap_or_else(|| anyhow!("cannot read {}", path.display())));
            }
        };
        let variables = parse(&bytes).with_context(|| {
            format!("{} cannot be read\nhint: unpack it anew from the official archive", path.display())
        })?;
        Ok(Self { path: path.to_owned(), variables })
    }

    /// A variable.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn get(&self, name: &str) -> Result<&Array> {
        self.variables.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.variables.keys().map(String::as_str).collect();
            anyhow!(
                "{} has no variable `{name}`, it has {}\nhint: unpack it anew from the official archive",
                self.path.display(),
                names.join(", ")
            )
        })
    }

    /// A variable as numbers.
    ///
    /// # Errors
    /// It is missing or holds something else.
    pub fn numbers(&self, name: &str) -> Result<&[f64]> {
        self.get(name)?.numbers().with_context(|| self.about(name))
    }

    /// A variable as texts.
    ///
    /// # Errors
    /// It is missing or holds something else.
    pub fn texts(&self, name: &str) -> Result<Vec<&str>> {
        self.get(name)?.texts().with_context(|| self.about(name))
    }

    /// A variable as records.
    ///
    /// # Errors
    /// It is missing or holds something else.
    pub fn records(&self, name: &str) -> Result<&[BTreeMap<String, Array>]> {
        self.get(name)?.records().with_context(|| self.about(name))
    }

    fn about(&self, name: &str) -> String {
        format!("{}: `{name}`", self.path.display())
    }
}

fn parse(bytes: &[u8]) -> Result<BTreeMap<String, Array>> {
    let Some((header, rest)) = bytes.split_at_checked(HEADER_BYTES) else {
        bail!("it is cut short");
    };
    if header.starts_with(b"MATLAB 7.3") {
        bail!("it is of version 7.3, expected 5: save it with `-v7`");
    }
    let order = match &header[126..] {
        b"IM" => Order::Little,
        b"MI" => Order::Big,
        _ => bail!("it is no MATLAB file of version 5"),
    };
    let mut variables = BTreeMap::new();
    let mut elements = Elements::new(rest, order);
    while let Some(element) = elements.next()? {
        if let Some((name, array)) = array::variable(&element, order)? {
            variables.insert(name, array);
        }
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// A little-endian element, padded as files have it.
    pub fn element(kind: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = [kind.to_le_bytes(), (data.len() as u32).to_le_bytes()].concat();
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    fn matrix(class: u8, dims: [i32; 2], name: &str, parts: &[Vec<u8>]) -> Vec<u8> {
        let mut data = element(6, &[class, 0, 0, 0, 0, 0, 0, 0]);
        data.extend(element(5, &dims.map(i32::to_le_bytes).concat()));
        data.extend(element(1, name.as_bytes()));
        data.extend(parts.concat());
        element(14, &data)
    }

    fn file(variables: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = vec![b' '; 124];
        bytes.extend(*b"\0\x01IM");
        bytes.extend(variables.concat());
        bytes
    }

    fn compressed(variable: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(variable).unwrap();
        let data = encoder.finish().unwrap();
        // Compressed elements are not padded.
        [[15_u32.to_le_bytes(), (data.len() as u32).to_le_bytes()].concat(), data].concat()
    }

    fn text(content: &str) -> Vec<u8> {
        let units: Vec<u8> = content.encode_utf16().flat_map(u16::to_le_bytes).collect();
        matrix(4, [1, content.chars().count() as i32], "", &[element(4, &units)])
    }

    fn whole() -> Vec<u8> {
        // A small element: two bytes inside the tag.
        let small = [[2, 0, 2, 0].as_slice(), &[7, 9, 0, 0]].concat();
        let cell = matrix(1, [2, 1], "names", &[text("Ax"), text("Bé")]);
        let labels = matrix(9, [1, 2], "labels", &[small]);
        let names = [b"class\0\0\0".as_slice(), b"fname\0\0\0"].concat();
        let value = |number: f64| matrix(6, [1, 1], "", &[element(9, &number.to_le_bytes())]);
        let records = matrix(
            2,
            [1, 2],
            "annotations",
            &[
                element(5, &8_i32.to_le_bytes()),
                element(1, &names),
                value(3.0),
                text("1.jpg"),
                value(4.0),
                text("2.jpg"),
            ],
        );
        file(&[compressed(&cell), compressed(&labels), records])
    }

    #[test]
    fn cells_numbers_and_records_are_read() {
        let variables = parse(&whole()).unwrap();
        assert_eq!(variables["names"].texts().unwrap(), ["Ax", "Bé"]);
        assert_eq!(variables["labels"].numbers().unwrap(), [7.0, 9.0]);
        let records = variables["annotations"].records().unwrap();
        assert_eq!(records[1]["class"].numbers().unwrap(), [4.0]);
        assert_eq!(records[0]["fname"].text().unwrap(), "1.jpg");
        assert!(variables["names"].numbers().is_err());
        assert!(records[0]["class"].text().is_err());
    }

    #[test]
    fn nothing_that_is_cut_or_spoilt_panics() {
        let whole = whole();
        for length in 0..whole.len() {
            // A file that ends between two variables is a shorter file.
            drop(parse(&whole[..length]));
        }
        assert!(parse(&whole[..whole.len() - 1]).is_err());
        for place in 128..whole.len() {
            for value in [0, 1, 14, 15, 127, 255] {
                let mut spoilt = whole.clone();
                spoilt[place] = value;
                drop(parse(&spoilt));
            }
        }
        let mut newer = whole;
        newer[..10].copy_from_slice(b"MATLAB 7.3");
        assert!(parse(&newer).unwrap_err().to_string().contains("-v7"));
    }
}
