//! NumPy arrays. `npyz` reads the header once it is known to be harmless, and writes.

use std::io::{self, Write};

use npyz::{DType, Endianness, NpyHeader, Order, TypeChar, WriterBuilder};

use super::{Array, Element, transposed};
use crate::{Error, Result};

/// Longest header that is looked at. An array's takes about 100 bytes.
const MAX_HEADER: usize = 4096;

/// The array in the bytes of a `.npy` file.
pub(super) fn parse(bytes: &[u8]) -> Result<Array> {
    check_header(bytes)?;
    let mut data = bytes;
    let header = NpyHeader::from_reader(&mut data)
        .map_err(|error| Error::config("npy", format!("damaged header: {error}")))?;
    let (element, big_endian) = element(&header)?;
    let shape: Vec<usize> = header.shape().iter().map(|&axis| axis as usize).collect();
    let expected = shape
        .iter()
        .try_fold(element.size(), |product, &axis| product.checked_mul(axis))
        .ok_or_else(|| Error::config("npy", format!("impossible shape {shape:?}")))?;
    if data.len() != expected {
        let expected = format!("{expected} bytes for the shape {shape:?}");
        return Err(Error::mismatch("npy data", expected, data.len()));
    }
    let values = element.decode(data, big_endian);
    match (header.order(), shape.as_slice()) {
        (Order::Fortran, &[.., rows, columns]) if rows * columns == values.len() => {
            Ok(Array { values: transposed(&values, columns, rows), shape })
        }
        _ => Ok(Array { values, shape }),
    }
}

/// Writes `values` of `shape`, last axis fastest.
pub(super) fn write(mut out: impl Write, shape: [usize; 2], values: &[f32]) -> io::Result<()> {
    let mut writer = npyz::WriteOptions::new()
        .default_dtype()
        .shape(&shape.map(|axis| axis as u64))
        .writer(&mut out)
        .begin_nd()?;
    writer.extend(values)?;
    writer.finish()?;
    out.flush()
}

/// Refuses headers that would make `npyz` overflow (a product of axes), recurse without end (nested
/// brackets) or allocate what the file does not hold.
fn check_header(bytes: &[u8]) -> Result<()> {
    let damaged = |reason: &str| Error::config("npy", reason);
    if !bytes.starts_with(b"\x93NUMPY") {
        return Err(damaged("not a NumPy array file"));
    }
    let (start, length) = match bytes {
        [_, _, _, _, _, _, 1, _, a, b, ..] => (10, u32::from_le_bytes([*a, *b, 0, 0])),
        [_, _, _, _, _, _, _, _, a, b, c, d, ..] => (12, u32::from_le_bytes([*a, *b, *c, *d])),
        _ => return Err(damaged("truncated header")),
    };
    let header = match bytes.get(start..start + length as usize) {
        Some(header) if header.len() <= MAX_HEADER => header,
        Some(_) => return Err(damaged("header too long for a plain array")),
        None => return Err(damaged("truncated header")),
    };
    if header.iter().filter(|&&byte| b"([{".contains(&byte)).count() > 4 {
        return Err(damaged("header of no plain array"));
    }
    let numbers = header.split(|byte| !byte.is_ascii_digit()).filter(|digits| !digits.is_empty());
    let product = numbers.fold(1u64, |product, digits| {
        let number = digits.iter().fold(0u64, |number, digit| {
            number.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
        });
        product.saturating_mul(number.max(1))
    });
    if product > u64::MAX / 2 {
        return Err(damaged("impossible shape"));
    }
    Ok(())
}

fn element(header: &NpyHeader) -> Result<(Element, bool)> {
    if let DType::Plain(kind) = header.dtype()
        && kind.type_char() == TypeChar::Float
    {
        let big_endian = kind.endianness() == Endianness::Big;
        match kind.size_field() {
            2 => return Ok((Element::F16, big_endian)),
            4 => return Ok((Element::F32, big_endian)),
            8 => return Ok((Element::F64, big_endian)),
            _ => {}
        }
    }
    Err(Error::mismatch("npy type", "f2, f4 or f8", header.dtype().descr()))
}
