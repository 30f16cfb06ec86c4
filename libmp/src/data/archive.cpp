// SPDX-License-Identifier: BSL-1.0
#include "mp/archive.hpp"

#include "mp/errors.hpp"

#include <boost/archive/basic_archive.hpp>

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

boost::serialization::library_version_type library_version() {
    return boost::archive::BOOST_ARCHIVE_VERSION();
}

}  // namespace mp::detail
