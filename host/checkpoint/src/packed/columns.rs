//! Weights whose codes lie input by input, several in a 32-bit word: GPTQ along the inputs, AWQ along the outputs.
//!
//! Values come out output by output, `[outputs, inputs]`, as `torch.nn.Linear` holds its weight:
//! `(code - zero) * scale`, the difference exact, the product rounded once (exact where the scale has 16 bits).

use std::ops::Range;

use super::component::Component;
use super::fault::PackedFault;

/// Inputs that are unpacked at once: whole words for every number of bits.
const BLOCK: u64 = 32;

/// Outputs whose zero points are looked at together.
const PIECE: u64 = 1 << 14;

/// Where the codes of a column of words are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// `[inputs * bits / 32, outputs]`, a stream of bits down each column; zero points in a stream along each row.
    Stream,
    /// The same, but that 32 codes are split in planes of 4, 2 and 1 bits, each of whole words.
    Planes,
    /// `[inputs, outputs / 8]`, the codes of a word in the order 0 2 4 6 1 3 5 7 from its lowest bits.
    Interleaved,
}

/// Where in its word each of eight outputs is, in units of 4 bits.
const INTERLEAVED: [u32; 8] = [0, 4, 1, 5, 2, 6, 3, 7];

/// A matrix of codes with scales per group of inputs and output.
#[derive(Debug)]
pub(super) struct Columns {
    /// The words of codes.
    pub(super) codes: Component,
    /// How they are packed.
    pub(super) packing: Packing,
    /// Bits of a code, 2 to 8.
    pub(super) bits: u64,
    /// Rows of the values.
    pub(super) outputs: u64,
    /// Columns of the values.
    pub(super) inputs: u64,
    /// `[groups, outputs]`.
    pub(super) scales: Component,
    /// Words of codes for zero points, packed along the outputs; `None` where all are in the middle.
    pub(super) zeros: Option<Component>,
    /// What is added to stored zero points, modulo 2^bits.
    pub(super) zero_offset: u32,
    /// Inputs of a group.
    pub(super) group: u64,
    /// The group of each input, where they are not in order.
    pub(super) groups: Option<Vec<u32>>,
}

/// Scales and zero points of some outputs: `[groups, outputs]`.
struct Parameters {
    scales: Vec<f32>,
    zeros: Vec<f32>,
    first_group: u64,
}

impl Columns {
    fn group_of(&self, input: u64) -> u64 {
        match &self.groups {
            Some(groups) => u64::from(groups[input as usize]),
            None => input / self.group,
        }
    }

    /// The values of some inputs of some outputs, output after output. All lie inside the weight.
    pub(super) fn rectangle(
        &self,
        outputs: Range<u64>,
        inputs: Range<u64>,
        out: &mut [f32],
    ) -> Result<(), PackedFault> {
        let width = (inputs.end - inputs.start) as usize;
        let height = (outputs.end - outputs.start) as usize;
        let parameters = self.parameters(&outputs, &inputs)?;
        let mut codes = vec![0; BLOCK as usize * height];
        let mut start = inputs.start;
        while start < inputs.end {
            let end = inputs.end.min((start / BLOCK + 1) * BLOCK);
            self.unpack(start..end, &outputs, &mut codes)?;
            let places: Vec<usize> =
                (start..end).map(|input| (self.group_of(input) - parameters.first_group) as usize * height).collect();
            let offset = (start - inputs.start) as usize;
            for (output, row) in out.chunks_exact_mut(width).enumerate() {
                for (step, (value, place)) in row[offset..].iter_mut().zip(&places).enumerate() {
                    let code = f32::from(codes[step * height + output]);
                    *value = (code - parameters.zeros[place + output]) * parameters.scales[place + output];
                }
            }
            start = end;
        }
        Ok(())
    }

    /// Looks at every scale once.
    pub(super) fn verify(&self) -> Result<(), PackedFault> {
        let mut values = Vec::new();
        for group in 0..self.scales.count() / self.outputs {
            values.clear();
            self.scales_of(group, &(0..self.outputs), &mut values)?;
        }
        Ok(())
    }

    /// The zero point that all are, with the offset as it is; `None` if they differ.
    pub(super) fn common_zero(&self) -> Result<Option<u32>, PackedFault> {
        let mut common = None;
        for group in 0..self.scales.count() / self.outputs {
            let mut outputs = 0..self.outputs.min(PIECE);
            while !outputs.is_empty() {
                let mut zeros = Vec::new();
                self.zeros_of(group, &outputs, &mut zeros)?;
                let first = *common.get_or_insert(zeros[0]);
                if zeros.iter().any(|&zero| zero != first) {
                    return Ok(None);
                }
                outputs = outputs.end..self.outputs.min(outputs.end + PIECE);
            }
        }
        Ok(common.map(|zero| zero as u32))
    }

    fn parameters(&self, outputs: &Range<u64>, inputs: &Range<u64>) -> Result<Parameters, PackedFault> {
        let groups = match self.groups {
            Some(_) => 0..self.scales.count() / self.outputs,
            None => self.group_of(inputs.start)..self.group_of(inputs.end - 1) + 1,
        };
        let mut parameters = Parameters { scales: Vec::new(), zeros: Vec::new(), first_group: groups.start };
        for group in groups {
            self.scales_of(group, outputs, &mut parameters.scales)?;
            self.zeros_of(group, outputs, &mut parameters.zeros)?;
        }
        Ok(parameters)
    }

    fn scales_of(&self, group: u64, outputs: &Range<u64>, out: &mut Vec<f32>) -> Result<(), PackedFault> {
        let (begin, before) = (group * self.outputs, out.len());
        self.scales.values(begin + outputs.start..begin + outputs.end, out)?;
        match out[before..].iter().position(|value| !value.is_finite()) {
            None => Ok(()),
            Some(at) => Err(PackedFault::NotFinite {
                name: self.scales.name.clone(),
                position: begin + outputs.start + at as u64,
                value: out[before + at],
            }),
        }
    }

    fn zeros_of(&self, group: u64, outputs: &Range<u64>, out: &mut Vec<f32>) -> Result<(), PackedFault> {
        let Some(zeros) = &self.zeros else {
            out.extend(outputs.clone().map(|_| (1u32 << (self.bits - 1)) as f32));
            return Ok(());
        };
        let words_in_row = (self.outputs * self.bits).div_ceil(32);
        // Whole blocks of 32 outputs, so that planes and codes across two words are complete.
        let first = outputs.start / 32 * self.bits;
        let end = (outputs.end.div_ceil(32) * self.bits).min(words_in_row);
        let mut words = Vec::new();
        zeros.words(group * words_in_row + first..group * words_in_row + end, &mut words)?;
        let mask = (1 << self.bits) - 1;
        out.extend(outputs.clone().map(|output| {
            let stored = self.code(output - outputs.start / 32 * 32, |word| words.get(word).copied().unwrap_or(0));
            (stored.wrapping_add(self.zero_offset) & mask) as f32
        }));
        Ok(())
    }

    /// Unpacks inputs of one block, input after input.
    fn unpack(&self, inputs: Range<u64>, outputs: &Range<u64>, out: &mut [u8]) -> Result<(), PackedFault> {
        let height = (outputs.end - outputs.start) as usize;
        if self.packing == Packing::Interleaved {
            return self.unpack_rows(inputs, outputs, out);
        }
        let first = inputs.start / BLOCK * self.bits;
        let end = (first + self.bits).min((self.inputs * self.bits).div_ceil(32));
        let mut words = Vec::new();
        for word in first..end {
            let begin = word * self.outputs;
            self.codes.words(begin + outputs.start..begin + outputs.end, &mut words)?;
        }
        for (input, row) in inputs.zip(out.chunks_exact_mut(height)) {
            for (output, code) in row.iter_mut().enumerate() {
                let word = |word: usize| words.get(word * height + output).copied().unwrap_or(0);
                *code = self.code(input % BLOCK, word) as u8;
            }
        }
        Ok(())
    }

    fn unpack_rows(&self, inputs: Range<u64>, outputs: &Range<u64>, out: &mut [u8]) -> Result<(), PackedFault> {
        let height = (outputs.end - outputs.start) as usize;
        let (words_in_row, first) = (self.outputs / 8, outputs.start / 8);
        let mut words = Vec::new();
        for (input, row) in inputs.zip(out.chunks_exact_mut(height)) {
            let begin = input * words_in_row;
            words.clear();
            self.codes.words(begin + first..begin + outputs.end.div_ceil(8), &mut words)?;
            for (output, code) in outputs.clone().zip(row) {
                *code = self.code(output - first * 8, |word| words.get(word).copied().unwrap_or(0)) as u8;
            }
        }
        Ok(())
    }

    /// The code at a position of a run of words.
    fn code(&self, position: u64, word: impl Fn(usize) -> u32) -> u32 {
        let mask = (1 << self.bits) - 1;
        match self.packing {
            Packing::Interleaved => word((position / 8) as usize) >> (4 * INTERLEAVED[(position % 8) as usize]) & mask,
            Packing::Stream => {
                let bit = position * self.bits;
                let (at, shift) = ((bit / 32) as usize, bit % 32);
                let high = if shift + self.bits > 32 { u64::from(word(at + 1)) << 32 } else { 0 };
                ((high | u64::from(word(at))) >> shift) as u32 & mask
            }
            Packing::Planes => self.planes(position, word),
        }
    }

    /// The code at a position, put together from planes of 8, 4, 2 and 1 bits, the lowest bits first.
    fn planes(&self, position: u64, word: impl Fn(usize) -> u32) -> u32 {
        let mut first = position / 32 * self.bits;
        let (mut code, mut taken) = (0, 0);
        for width in [8, 4, 2, 1].into_iter().filter(|width| self.bits & width != 0) {
            let per_word = 32 / width;
            let field = word((first + position % 32 / per_word) as usize) >> (position % per_word * width);
            code |= (field & ((1 << width) - 1)) << taken;
            taken += width;
            first += width;
        }
        code
    }
}
