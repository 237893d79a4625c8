//! The two implementations of a chain, held equal.

#[cfg(test)]
mod agree;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod generate;
