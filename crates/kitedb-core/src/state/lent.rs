//! What holds a state and is lent out, so that it can be taken back: whoever has it may never say that he is done.

use super::held::{ReaderSlot, Withdraw, Withdrawn};
use crate::lock::Mutex;
use std::{fmt, sync::Arc};

#[derive(Debug)]
enum Place<T> {
    Held(T),
    Gone(Withdrawn),
    /// In use, and to be taken back after that for this reason, if for any.
    Out(Option<Withdrawn>),
}

/// Something that holds a state, for as long as nobody takes it back.
#[derive(Debug)]
pub struct Lent<T> {
    place: Mutex<Place<T>>,
    slot_of: fn(&T) -> &ReaderSlot,
}

impl<T: fmt::Debug + Send + 'static> Lent<T> {
    /// Lends `value`, which holds the place that `slot_of` finds in it.
    pub fn new(value: T, slot_of: fn(&T) -> &ReaderSlot) -> Arc<Self> {
        let table = slot_of(&value).table();
        let lent = Arc::new(Self { place: Mutex::new(Place::Held(value)), slot_of });
        let shared: Arc<dyn Withdraw> = lent.clone();
        if !table.is_some_and(|table| table.lend(Arc::downgrade(&shared))) {
            lent.withdraw(Withdrawn::Closed);
        }
        lent
    }

    /// A copy of it.
    pub fn get(&self) -> Result<T, Withdrawn>
    where
        T: Clone,
    {
        let mut place = self.place.lock();
        match &*place {
            Place::Held(value) if !(self.slot_of)(value).is_past_its_limit() => Ok(value.clone()),
            Place::Held(_) => {
                let gone = std::mem::replace(&mut *place, Place::Gone(Withdrawn::Expired));
                // What is let go of may end much: not under the lock.
                drop(place);
                drop(gone);
                Err(Withdrawn::Expired)
            }
            Place::Gone(why) => Err(*why),
            Place::Out(_) => Err(Withdrawn::InUse),
        }
    }

    /// Takes it out, for one caller at a time.
    pub fn take(&self) -> Result<T, Withdrawn> {
        let mut place = self.place.lock();
        match std::mem::replace(&mut *place, Place::Out(None)) {
            Place::Held(value) => {
                if !(self.slot_of)(&value).is_past_its_limit() {
                    return Ok(value);
                }
                *place = Place::Gone(Withdrawn::Expired);
                drop(place);
                drop(value);
                Err(Withdrawn::Expired)
            }
            Place::Gone(why) => {
                *place = Place::Gone(why);
                Err(why)
            }
            out @ Place::Out(_) => {
                *place = out;
                Err(Withdrawn::InUse)
            }
        }
    }

    /// Puts back what [`Lent::take`] took out, unless it was taken back meanwhile.
    pub fn put_back(&self, value: T) {
        let mut place = self.place.lock();
        let why = match &*place {
            Place::Out(None) if (self.slot_of)(&value).is_expired() => Some(Withdrawn::Expired),
            Place::Out(why) => *why,
            _ => None,
        };
        match why {
            None => *place = Place::Held(value),
            Some(why) => {
                *place = Place::Gone(why);
                drop(place);
                drop(value);
            }
        }
    }

    /// What was taken out does not come back.
    pub fn spend(&self) {
        let mut place = self.place.lock();
        if let Place::Out(why) = &*place {
            *place = Place::Gone(why.unwrap_or(Withdrawn::Released));
        }
    }

    /// Gives it back. Nothing happens where it is gone already.
    pub fn release(&self) {
        self.withdraw(Withdrawn::Released);
    }
}

impl<T: fmt::Debug + Send> Withdraw for Lent<T> {
    fn withdraw_expired(&self) {
        let expired = match &*self.place.lock() {
            Place::Held(value) => (self.slot_of)(value).is_expired(),
            // Whoever has it in his hands puts it back.
            Place::Gone(_) | Place::Out(_) => false,
        };
        if expired {
            self.withdraw(Withdrawn::Expired);
        }
    }

    fn withdraw(&self, why: Withdrawn) {
        let mut place = self.place.lock();
        let gone = match &mut *place {
            Place::Held(_) => std::mem::replace(&mut *place, Place::Gone(why)),
            Place::Out(later) => {
                later.get_or_insert(why);
                return;
            }
            Place::Gone(_) => return,
        };
        // What is let go of may end much: not under the lock.
        drop(place);
        drop(gone);
    }
}
