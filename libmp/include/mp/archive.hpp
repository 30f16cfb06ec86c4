// SPDX-License-Identifier: BSL-1.0
// OutArchive and InArchive: values to bytes and back, for one message. `ar << x`
// writes, `ar >> x` reads, and `ar & x` is either, so one serialize() does for both.
// Python:  pickle.Pickler, pickle.Unpickler.
// Differs: types describe themselves by Boost.Serialization's `serialize`; the bytes do
//          not name them, so the reader has to ask for the type that was written.
// Threads: one at a time.  Owns: the full archive, once a pointer needs it.
// Throws:  SerializationError; what a serialize() throws, unchanged.
// Read next: mp/detail/output_archive.hpp, mp/detail/input_archive.hpp
#pragma once

#include "mp/detail/input_archive.hpp"
#include "mp/detail/output_archive.hpp"
