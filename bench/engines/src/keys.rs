//! How rows and scans become ordered bytes.

use std::ops::Bound;

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use myelin_store::{Datum, KeyspaceDef, Row, Scan};

pub(crate) fn entry(number: u8, index: u8, order: &[usize], row: &[Datum]) -> Vec<u8> {
    let columns: Vec<Datum> = order.iter().map(|n| row[*n].clone()).collect();
    key_of(number, index, &columns)
}

pub(crate) fn key_of(number: u8, order: u8, datums: &[Datum]) -> Vec<u8> {
    let mut key = vec![number, order];
    datums.iter().for_each(|datum| encode(datum, &mut key));
    key
}

/// The key of the row that an index entry points to.
pub(crate) fn row_key(keyspace: &KeyspaceDef, order: &[usize], entry: &[u8]) -> Result<Vec<u8>> {
    let mut rest = &entry[2..];
    let columns: Vec<Datum> = order.iter().map(|_| decode(&mut rest)).collect::<Result<_>>()?;
    let mut key = vec![entry[0], 0];
    for n in 0..keyspace.key_len {
        let at = order.iter().position(|column| *column == n).context("an index without the key")?;
        encode(&columns[at], &mut key);
    }
    Ok(key)
}

pub(crate) fn row_of(keyspace: &KeyspaceDef, key: &[u8], value: &[u8]) -> Result<Row> {
    let (mut key, mut value) = (&key[2..], value);
    let columns = (0..keyspace.columns.len())
        .map(|n| if n < keyspace.key_len { decode(&mut key) } else { decode(&mut value) });
    Ok(columns.collect::<Result<Vec<_>>>()?.into())
}

/// Bytes that sort as the values do.
pub(crate) fn encode(datum: &Datum, to: &mut Vec<u8>) {
    let mut escaped = |tag: u8, bytes: &[u8]| {
        to.push(tag);
        for byte in bytes {
            to.push(*byte);
            if *byte == 0 {
                to.push(0xff);
            }
        }
        to.extend([0, 0]);
    };
    match datum {
        Datum::Null | Datum::Pending(_) => to.push(0),
        Datum::Int(value) => {
            to.push(1);
            to.extend(((*value as u64) ^ (1 << 63)).to_be_bytes());
        }
        Datum::Text(text) => escaped(2, text.as_bytes()),
        Datum::Bytes(bytes) => escaped(3, bytes),
    }
}

pub(crate) fn decode(from: &mut &[u8]) -> Result<Datum> {
    let (tag, rest) = from.split_first().context("a row ends early")?;
    *from = rest;
    let mut unescape = || {
        let mut bytes = Vec::new();
        loop {
            match **from {
                [0, 0, ref rest @ ..] => {
                    *from = rest;
                    return Ok(bytes);
                }
                [0, 0xff, ref rest @ ..] => {
                    bytes.push(0);
                    *from = rest;
                }
                [byte, ref rest @ ..] => {
                    bytes.push(byte);
                    *from = rest;
                }
                [] => return Err(anyhow!("a value ends early")),
            }
        }
    };
    Ok(match tag {
        0 => Datum::Null,
        1 => {
            let (int, rest) = from.split_first_chunk::<8>().context("an integer ends early")?;
            *from = rest;
            Datum::Int((u64::from_be_bytes(*int) ^ (1 << 63)) as i64)
        }
        2 => Datum::Text(String::from_utf8(unescape()?)?.into()),
        _ => Datum::Bytes(Bytes::from(unescape()?)),
    })
}

/// The scan as keys: from the first on, below the second.
pub(crate) fn range_of(number: u8, scan: &Scan) -> (Vec<u8>, Vec<u8>) {
    let by_name = |name| scan.keyspace.indexes.iter().position(|index| index.name == name);
    let order = scan.index.map_or(0, |index| by_name(index.name).map_or(255, |n| n as u8 + 1));
    let place = |columns: &[Datum], last: bool| {
        let mut key = key_of(number, order, &[scan.prefix.as_slice(), columns].concat());
        if last {
            key.push(0xff);
        }
        key
    };
    let lower = match &scan.lower {
        Bound::Unbounded => place(&[], false),
        Bound::Included(columns) => place(columns, false),
        Bound::Excluded(columns) => place(columns, true),
    };
    let upper = match &scan.upper {
        Bound::Unbounded => place(&[], true),
        Bound::Included(columns) => place(columns, true),
        Bound::Excluded(columns) => place(columns, false),
    };
    (lower, upper)
}
