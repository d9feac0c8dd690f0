//! Weights whose codes lie row by row, and whose scales are a coarser grid over the same rows and columns.
//!
//! A value is `(table[code] - zero) * scale * factor + bias` in 32-bit floats, in this order of operations but that
//! `scale * factor` is formed first. Schemes only say which tensors these are; see [`Grid`].

use std::ops::Range;

use super::codes::{Order, Table, unpack};
use super::component::Component;
use super::fault::PackedFault;

/// Columns that are unpacked at once.
const PIECE: u64 = 1 << 14;

/// Codes of a matrix, or of a stack of matrices one after the other.
#[derive(Debug)]
pub(super) struct Grid {
    /// The tensor of codes.
    pub(super) codes: Component,
    /// Bits of a code, 1 to 8.
    pub(super) bits: u64,
    /// Where the first of two codes in a byte lies.
    pub(super) order: Order,
    /// Bytes from one row to the next.
    pub(super) row_bytes: u64,
    /// What the codes are.
    pub(super) table: Box<Table>,
    /// Rows of all matrices together.
    pub(super) rows: u64,
    /// Columns of a row.
    pub(super) columns: u64,
    /// Which scale belongs to which code.
    pub(super) blocks: Blocks,
    /// One scale a block.
    pub(super) scales: Field,
    /// What is taken off the codes before they are scaled.
    pub(super) zeros: Option<Field>,
    /// What is added after they were scaled.
    pub(super) biases: Option<Field>,
    /// What every scale is multiplied with first.
    pub(super) factor: Factor,
}

/// One scale for the whole tensor, or for each matrix of a stack, beside those of the blocks.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Factor {
    /// None.
    One,
    /// Scales are multiplied with it.
    Times(Vec<f32>),
    /// Scales are divided by it.
    Over(Vec<f32>),
    /// Values are multiplied with it, after the scale.
    Last(f32),
}

/// The grid of scales over the rows and columns of each matrix of a stack.
#[derive(Debug)]
pub(super) struct Blocks {
    /// Rows of one matrix.
    pub(super) matrix_rows: u64,
    /// Rows that share a scale.
    pub(super) rows: u64,
    /// Columns that share a scale.
    pub(super) columns: u64,
    /// Rows of scales for one matrix.
    pub(super) scale_rows: u64,
    /// Scales in a row.
    pub(super) scale_columns: u64,
    /// The column of scales of each column, where they are not in order.
    pub(super) groups: Option<Vec<u32>>,
}

impl Blocks {
    /// The row of scales that a row of codes has.
    fn scale_row(&self, row: u64) -> u64 {
        row / self.matrix_rows * self.scale_rows + row % self.matrix_rows / self.rows
    }

    /// The columns of scales that these columns of codes need.
    fn scale_columns(&self, columns: &Range<u64>) -> Range<u64> {
        match self.groups {
            Some(_) => 0..self.scale_columns,
            None => columns.start / self.columns..(columns.end - 1) / self.columns + 1,
        }
    }

    /// The column of scales that a column has, and the column before which it may change.
    fn run(&self, column: u64) -> (u64, u64) {
        match &self.groups {
            Some(groups) => (u64::from(groups[column as usize]), column + 1),
            None => (column / self.columns, (column / self.columns + 1).saturating_mul(self.columns)),
        }
    }
}

/// Numbers, one a block.
#[derive(Debug)]
pub(super) enum Field {
    /// A tensor of them, row by row.
    Rows(Component),
    /// Codes packed along a row, each row beginning a byte.
    Packed {
        /// The tensor of codes.
        codes: Component,
        /// Bits of a code.
        bits: u64,
        /// Bytes from one row to the next.
        row_bytes: u64,
    },
    /// 32-bit words packed along a column.
    PackedColumns {
        /// The tensor of words.
        words: Component,
        /// Bits of a code.
        bits: u64,
        /// Rows of scales for one matrix.
        rows: u64,
        /// Scales in a row.
        columns: u64,
    },
    /// Codes that are scaled themselves, in blocks.
    Nested(Nested),
}

/// Scales that are 8-bit codes with scales of their own.
#[derive(Debug)]
pub(super) struct Nested {
    /// The codes.
    pub(super) codes: Component,
    /// What the codes are.
    pub(super) table: Box<Table>,
    /// Their scales.
    pub(super) scales: Component,
    /// Codes that share a scale.
    pub(super) block: u64,
    /// What is added.
    pub(super) offset: f32,
}

impl Nested {
    fn append(&self, range: Range<u64>, out: &mut Vec<f32>) -> Result<(), PackedFault> {
        let mut scales = Vec::new();
        let first = range.start / self.block;
        self.scales.values(first..range.end.div_ceil(self.block), &mut scales)?;
        let codes = self.codes.read(range.clone())?;
        let scale = |position: u64| scales[(position / self.block - first) as usize];
        let numbered = range.zip(codes.iter());
        out.extend(numbered.map(|(position, &code)| self.table[usize::from(code)] * scale(position) + self.offset));
        Ok(())
    }
}

impl Field {
    /// Appends the numbers of some columns of a row; `width` is the length of a row.
    fn append(&self, row: u64, columns: Range<u64>, width: u64, out: &mut Vec<f32>) -> Result<(), PackedFault> {
        let begin = row * width;
        match self {
            Self::Rows(values) => values.values(begin + columns.start..begin + columns.end, out),
            Self::Packed { codes, bits, row_bytes } => {
                let first_bit = columns.start * bits;
                let start = row * row_bytes + first_bit / 8;
                let bytes = codes.read(start..row * row_bytes + (columns.end * bits).div_ceil(8))?;
                let mut unpacked = vec![0; (columns.end - columns.start) as usize];
                unpack(&bytes, (first_bit % 8) as usize, *bits as usize, Order::LowFirst, &mut unpacked);
                out.extend(unpacked.into_iter().map(f32::from));
                Ok(())
            }
            Self::PackedColumns { words, bits, rows, columns: width } => {
                let bit = row % rows * bits;
                let first = row / rows * (rows * bits).div_ceil(32) + bit / 32;
                let mut low = Vec::new();
                words.words(first * width + columns.start..first * width + columns.end, &mut low)?;
                let mut high = vec![0; low.len()];
                if bit % 32 + bits > 32 {
                    high.clear();
                    words.words((first + 1) * width + columns.start..(first + 1) * width + columns.end, &mut high)?;
                }
                let code = |(low, high): (u32, u32)| (u64::from(high) << 32 | u64::from(low)) >> (bit % 32);
                let mask = (1 << bits) - 1;
                out.extend(low.into_iter().zip(high).map(|pair| (code(pair) & mask) as f32));
                Ok(())
            }
            Self::Nested(nested) => nested.append(begin + columns.start..begin + columns.end, out),
        }
    }

    /// The tensor to name when a number is wrong.
    fn name(&self) -> &str {
        match self {
            Self::Rows(component) => &component.name,
            Self::Packed { codes, .. } => &codes.name,
            Self::PackedColumns { words, .. } => &words.name,
            Self::Nested(nested) => &nested.scales.name,
        }
    }

    /// Appends numbers, which must be finite.
    fn checked(&self, row: u64, columns: Range<u64>, width: u64, out: &mut Vec<f32>) -> Result<(), PackedFault> {
        out.clear();
        self.append(row, columns.clone(), width, out)?;
        match out.iter().position(|value| !value.is_finite()) {
            None => Ok(()),
            Some(at) => Err(PackedFault::NotFinite {
                name: self.name().to_owned(),
                position: row * width + columns.start + at as u64,
                value: out[at],
            }),
        }
    }
}

/// Buffers that rows share.
#[derive(Debug, Default)]
struct Scratch {
    codes: Vec<u8>,
    scales: Vec<f32>,
    zeros: Vec<f32>,
    biases: Vec<f32>,
}

impl Grid {
    /// The values of some columns of some rows, row after row. All lie inside the weight, and `out` has their number.
    pub(super) fn rectangle(&self, rows: Range<u64>, columns: Range<u64>, out: &mut [f32]) -> Result<(), PackedFault> {
        let mut scratch = Scratch::default();
        let mut rest = out;
        for row in rows {
            let mut start = columns.start;
            while start < columns.end {
                let end = columns.end.min(start + PIECE);
                let (piece, after) = rest.split_at_mut((end - start) as usize);
                self.piece(row, start..end, piece, &mut scratch)?;
                (rest, start) = (after, end);
            }
        }
        Ok(())
    }

    /// Looks at every scale, zero point and bias once.
    pub(super) fn verify(&self) -> Result<(), PackedFault> {
        let width = self.blocks.scale_columns;
        let rows = self.blocks.scale_row(self.rows - 1) + 1;
        let mut values = Vec::new();
        for field in [Some(&self.scales), self.zeros.as_ref(), self.biases.as_ref()].into_iter().flatten() {
            for row in 0..rows {
                for start in (0..width).step_by(PIECE as usize) {
                    field.checked(row, start..width.min(start + PIECE), width, &mut values)?;
                }
            }
        }
        Ok(())
    }

    fn piece(&self, row: u64, columns: Range<u64>, out: &mut [f32], scratch: &mut Scratch) -> Result<(), PackedFault> {
        let bit = columns.start * self.bits;
        let end = self.row_bytes * row + (columns.end * self.bits).div_ceil(8);
        let bytes = self.codes.read(self.row_bytes * row + bit / 8..end)?;
        scratch.codes.resize(out.len(), 0);
        unpack(&bytes, (bit % 8) as usize, self.bits as usize, self.order, &mut scratch.codes);
        let needed = self.load_scales(row, &columns, scratch)?;
        let mut column = columns.start;
        while column < columns.end {
            let (group, next) = self.blocks.run(column);
            let next = next.min(columns.end);
            let span = (column - columns.start) as usize..(next - columns.start) as usize;
            let at = (group - needed.start) as usize;
            let number = |values: &[f32]| values.get(at).copied();
            let (scale, zero, bias) = (scratch.scales[at], number(&scratch.zeros), number(&scratch.biases));
            self.scale(&scratch.codes[span.clone()], scale, zero.unwrap_or(0.0), bias, &mut out[span]);
            column = next;
        }
        Ok(())
    }

    /// Brings scales, zero points and biases of a row's columns; gives the columns of scales that these are.
    fn load_scales(&self, row: u64, columns: &Range<u64>, scratch: &mut Scratch) -> Result<Range<u64>, PackedFault> {
        let (matrix_row, width) = (row, self.blocks.scale_columns);
        let row = self.blocks.scale_row(row);
        let needed = self.blocks.scale_columns(columns);
        self.scales.checked(row, needed.clone(), width, &mut scratch.scales)?;
        match &self.factor {
            Factor::Times(factors) => {
                let factor = self.of_matrix(factors, matrix_row);
                scratch.scales.iter_mut().for_each(|scale| *scale *= factor);
            }
            Factor::Over(factors) => {
                let factor = self.of_matrix(factors, matrix_row);
                scratch.scales.iter_mut().for_each(|scale| *scale /= factor);
            }
            Factor::One | Factor::Last(_) => {}
        }
        if let Some(zeros) = &self.zeros {
            zeros.checked(row, needed.clone(), width, &mut scratch.zeros)?;
        }
        if let Some(biases) = &self.biases {
            biases.checked(row, needed.clone(), width, &mut scratch.biases)?;
        }
        Ok(needed)
    }

    /// The factor of the matrix that a row belongs to; there are as many factors as matrices, or one.
    fn of_matrix(&self, factors: &[f32], row: u64) -> f32 {
        let rows = (self.rows / factors.len().max(1) as u64).max(1);
        factors.get((row / rows) as usize).copied().unwrap_or(1.0)
    }

    /// The values of codes that share a scale.
    fn scale(&self, codes: &[u8], scale: f32, zero: f32, bias: Option<f32>, out: &mut [f32]) {
        for (value, &code) in out.iter_mut().zip(codes) {
            *value = (self.table[usize::from(code)] - zero) * scale;
        }
        if let Some(bias) = bias {
            out.iter_mut().for_each(|value| *value += bias);
        }
        if let Factor::Last(factor) = self.factor {
            out.iter_mut().for_each(|value| *value *= factor);
        }
    }
}
