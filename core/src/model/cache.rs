//! Keys and values of the tokens so far, in memory that is taken once.

use super::attend::attend;
use super::rotary::{Rotary, split_heads};
#[cfg(feature = "kernels")]
use crate::kernels;
#[cfg(feature = "kernels")]
use burn::tensor::Int;
use burn::tensor::{DType, Device, Tensor};

/// The cache of all decoder blocks.
///
/// Rows of a batch end at the same place; shorter ones have padding on their left
/// ([`Cache::starts`]).
#[derive(Debug, Clone)]
pub struct Cache {
    layers: Vec<LayerCache>,
    starts: Vec<usize>,
    length: usize,
    capacity: usize,
    /// `starts` on the device, once a kernel has asked for them.
    #[cfg(feature = "kernels")]
    padding: Option<Tensor<1, Int>>,
}

/// Keys and values of one block: `[batch, kv_heads, capacity, head_dim]` each.
///
/// They are gone only while they are written: what is held twice would be copied.
#[derive(Debug, Clone)]
struct LayerCache(Option<[Tensor<4>; 2]>);

impl LayerCache {
    fn new(held: [Tensor<4>; 2]) -> Self {
        Self(Some(held))
    }

    fn held(&self) -> &[Tensor<4>; 2] {
        self.0.as_ref().expect(HELD)
    }

    fn into_held(self) -> [Tensor<4>; 2] {
        self.0.expect(HELD)
    }

    fn map(self, change: impl Fn(Tensor<4>) -> Tensor<4>) -> Self {
        Self::new(self.into_held().map(change))
    }

    /// Takes keys and values out; they come back by an assignment.
    fn take(&mut self) -> [Tensor<4>; 2] {
        self.0.take().expect(HELD)
    }
}

const HELD: &str = "keys and values are there but while they are written";

/// What a [`Cache`] needs to know.
#[derive(Debug, Clone, Copy)]
pub struct CacheShape {
    /// Decoder blocks.
    pub layers: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Tokens that fit.
    pub capacity: usize,
}

impl Cache {
    /// An empty cache; `starts` gives each row's padding on the left, in tokens.
    #[must_use]
    pub fn new(shape: CacheShape, starts: Vec<usize>, dtype: DType, device: &Device) -> Self {
        let size = [starts.len(), shape.kv_heads, shape.capacity, shape.head_dim];
        let layers = (0..shape.layers)
            .map(|_| LayerCache::new([(); 2].map(|()| Tensor::zeros(size, (device, dtype)))))
            .collect();
        Self::of(layers, starts, 0, shape.capacity)
    }

    fn of(layers: Vec<LayerCache>, starts: Vec<usize>, length: usize, capacity: usize) -> Self {
        Self {
            layers,
            starts,
            length,
            capacity,
            #[cfg(feature = "kernels")]
            padding: None,
        }
    }

    /// Tokens held, padding included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Tokens that fit.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Padding on the left of each row.
    #[must_use]
    pub fn starts(&self) -> &[usize] {
        &self.starts
    }

    /// Repeats a cache of one row, so that several answers share one prompt.
    ///
    /// # Panics
    /// The cache has more than one row.
    #[must_use]
    pub fn fan_out(self, rows: usize) -> Self {
        assert_eq!(self.starts.len(), 1, "only a cache of one row can be shared");
        let repeat = |tensor: Tensor<4>| if rows == 1 { tensor } else { tensor.repeat_dim(0, rows) };
        let layers = self.layers.into_iter().map(|layer| layer.map(repeat)).collect();
        Self::of(layers, vec![self.starts[0]; rows], self.length, self.capacity)
    }

    /// Keeps some rows, in the given order.
    #[must_use]
    pub fn keep(self, rows: &[usize]) -> Self {
        let Some(device) = self.layers.first().map(|layer| layer.held()[0].device()) else { return self };
        let indices: Vec<i32> = rows.iter().map(|row| *row as i32).collect();
        let indices = Tensor::from_ints(indices.as_slice(), &device);
        let select = |tensor: Tensor<4>| tensor.select(0, indices.clone());
        let layers = self.layers.into_iter().map(|layer| layer.map(select)).collect();
        let starts = rows.iter().map(|row| self.starts[*row]).collect();
        Self::of(layers, starts, self.length, self.capacity)
    }

    /// Puts the rows of another cache under its own, so that all end at the same place, with room for `room`
    /// more tokens. What is padding in all rows is left out.
    ///
    /// # Panics
    /// The caches belong to different models.
    #[must_use]
    pub fn join(self, other: Self, room: usize) -> Self {
        let content = |cache: &Self| {
            let first = cache.starts.iter().copied().min().unwrap_or(0).min(cache.length);
            (first, cache.length - first)
        };
        let parts = [content(&self), content(&other)];
        let length = parts.iter().map(|(_, kept)| *kept).max().unwrap_or(0);
        let capacity = length + room;
        let starts = [&self, &other]
            .iter()
            .zip(parts)
            .flat_map(|(cache, (first, kept))| {
                cache.starts.iter().map(move |start| start - first + length - kept)
            })
            .collect();
        let stack = |upper: Tensor<4>, lower: Tensor<4>| {
            let [rows, kv_heads, _, head_dim] = upper.dims();
            let [more, ..] = lower.dims();
            let size = [rows + more, kv_heads, capacity, head_dim];
            let mut joined = Tensor::zeros(size, (&upper.device(), upper.dtype()));
            for (from, tensor, (first, kept)) in [(0, upper, parts[0]), (rows, lower, parts[1])] {
                let [count, ..] = tensor.dims();
                let place = [from..from + count, 0..kv_heads, length - kept..length, 0..head_dim];
                joined = joined.slice_assign(place, tensor.narrow(2, first, kept));
            }
            joined
        };
        let layers = self
            .layers
            .into_iter()
            .zip(other.layers)
            .map(|(upper, lower)| {
                let [[upper_key, upper_value], [lower_key, lower_value]] =
                    [upper, lower].map(LayerCache::into_held);
                LayerCache::new([stack(upper_key, lower_key), stack(upper_value, lower_value)])
            })
            .collect();
        Self::of(layers, starts, length, capacity)
    }

    /// Takes note that every block has stored `count` more tokens.
    pub fn advance(&mut self, count: usize) {
        self.length += count;
    }

    /// Whether a step of one token a row hides the padding by itself, and needs no mask.
    #[must_use]
    pub fn hides_padding(&self) -> bool {
        #[cfg(feature = "kernels")]
        return self.layers.first().is_some_and(|layer| kernels::can_attend(&layer.held()[0]));
        #[cfg(not(feature = "kernels"))]
        false
    }

    /// Splits what a block has projected into heads, stores the new tokens' keys and values, and attends their queries
    /// to all so far.
    ///
    /// # Shapes
    /// - `projected`: queries, `[batch, new, heads × head_dim]`, then keys and values, `[batch, new, kv_heads × head_dim]`
    /// - `mask`: as [`super::mask::causal`] makes it; not looked at where one token is new and [`Self::hides_padding`]
    /// - output: `[batch, new, heads × head_dim]`
    ///
    /// # Panics
    /// The tokens do not fit.
    pub fn attend(
        &mut self,
        layer: usize,
        projected: [Tensor<3>; 3],
        rotary: &Rotary,
        mask: Option<Tensor<4>>,
    ) -> Tensor<3> {
        let [_, new, _] = projected[0].dims();
        let end = self.length + new;
        assert!(end <= self.capacity, "{end} tokens do not fit a cache of {}", self.capacity);
        let held = self.layers[layer].take();
        let (query, held) = self.store(projected, rotary, held);
        self.layers[layer] = LayerCache::new(held.clone());
        #[cfg(feature = "kernels")]
        if new == 1 && self.hides_padding() {
            let [keys, values] = held;
            let padding = self.padding(&query.device());
            return kernels::decode_attention(query, keys, values, padding, end);
        }
        let [keys, values] = held.map(|held| held.narrow(2, 0, end));
        attend(query, keys, values, mask)
    }

    /// Queries in their heads, and what was held with the new tokens' keys and values written behind it.
    fn store(
        &self,
        projected: [Tensor<3>; 3],
        rotary: &Rotary,
        held: [Tensor<4>; 2],
    ) -> (Tensor<4>, [Tensor<4>; 2]) {
        #[cfg(feature = "kernels")]
        let held = match kernels::rotate_and_store(&projected, rotary, held, self.length) {
            Ok(stored) => return stored,
            Err(held) => held,
        };
        let [query, key, value] = projected;
        let [batch, new, width] = query.dims();
        let [_, kv_heads, _, head_dim] = held[0].dims();
        let query = rotary.split(query, width / head_dim);
        let key = rotary.split(key, kv_heads);
        let value = split_heads(value, kv_heads);
        let place = [0..batch, 0..kv_heads, self.length..self.length + new, 0..head_dim];
        let [keys, values] = held;
        (query, [keys.slice_assign(place.clone(), key), values.slice_assign(place, value)])
    }

    /// The rows' padding on the device, brought there once.
    #[cfg(feature = "kernels")]
    fn padding(&mut self, device: &Device) -> Tensor<1, Int> {
        let Self { padding, starts, .. } = self;
        let upload = || {
            let starts: Vec<i32> = starts.iter().map(|start| *start as i32).collect();
            Tensor::from_ints(starts.as_slice(), device)
        };
        padding.get_or_insert_with(upload).clone()
    }
}
