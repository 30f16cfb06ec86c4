// SPDX-License-Identifier: BSL-1.0
// The texts of the archives' errors.
#include "mp/detail/archive_errors.hpp"

#include "mp/errors.hpp"

#include <string>

namespace mp::detail {

void throw_encode_error(const char* what) {
    throw SerializationError(SerializationPhase::encode, what);
}

void throw_decode_error(const char* what) {
    throw SerializationError(SerializationPhase::decode, what);
}

void throw_bad_length(std::uint64_t length, std::size_t left) {
    throw SerializationError(
        SerializationPhase::decode,
        "a length of " + std::to_string(length) + " elements, but only " +
            std::to_string(left) + " bytes are left"
    );
}

void throw_no_memory(std::size_t elements) {
    throw SerializationError(
        SerializationPhase::decode,
        "no memory for " + std::to_string(elements) + " elements"
    );
}

void throw_newer_version(std::string_view type, unsigned written, unsigned known) {
    throw SerializationError(
        SerializationPhase::decode,
        std::string(type) + " was written as version " + std::to_string(written) +
            ", this program knows up to " + std::to_string(known)
    );
}

}  // namespace mp::detail
