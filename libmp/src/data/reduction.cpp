// SPDX-License-Identifier: BSL-1.0
// The errors of encoding and decoding, with the type that they are about.
#include "mp/reduction.hpp"

#include "mp/errors.hpp"

#include <boost/archive/archive_exception.hpp>

#include <string>

namespace mp::detail {

namespace {

using boost::archive::archive_exception;

std::string explain(const archive_exception& error) {
    switch (error.code) {
    case archive_exception::unregistered_class:
    case archive_exception::unregistered_cast:
        return std::string(error.what()) +
               " (the class behind a pointer needs BOOST_CLASS_EXPORT in a source "
               "file that includes <mp/serialization.hpp> before that macro)";
    case archive_exception::pointer_conflict:
        return std::string(error.what()) +
               " (an object was saved through a pointer first and by value then: "
               "save the value first)";
    default:
        return error.what();
    }
}

[[noreturn]] void rethrow(SerializationPhase phase, const std::string& prefix) {
    try {
        throw;
    } catch (const SerializationError& error) {
        // Those of tasks and results have been reported already.
        if (error.phase != SerializationPhase::encode &&
            error.phase != SerializationPhase::decode) {
            throw;
        }
        throw SerializationError(error.phase, prefix + error.what());
    } catch (const archive_exception& error) {
        throw SerializationError(phase, prefix + explain(error));
    }
}

}  // namespace

void rethrow_encode_error(std::string_view type) {
    rethrow(SerializationPhase::encode, "cannot encode " + std::string(type) + ": ");
}

void rethrow_decode_error(std::string_view type) {
    rethrow(SerializationPhase::decode, "cannot decode " + std::string(type) + ": ");
}

void throw_left_over(std::size_t bytes, std::string_view type) {
    throw SerializationError(
        SerializationPhase::decode,
        "cannot decode " + std::string(type) + ": " + std::to_string(bytes) +
            " bytes are left over"
    );
}

}  // namespace mp::detail
