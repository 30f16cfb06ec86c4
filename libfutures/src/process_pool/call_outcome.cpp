// SPDX-License-Identifier: BSL-1.0
#include "process_pool/call_outcome.hpp"

#include "futures/detail/process_task.hpp"
#include "futures/errors.hpp"
#include "mp/remote_error.hpp"

#include <cstdlib>
#include <exception>

namespace futures::detail {

using mp::SerializationPhase;
using mp::detail::CallPhase;

namespace {

[[noreturn]] void rethrow_current(CallPhase phase) {
    if (phase == CallPhase::decode) {
        throw_serialization_error(SerializationPhase::decode_task);
    }
    if (phase == CallPhase::encode) {
        throw_serialization_error(SerializationPhase::encode_result);
    }
    throw;
}

/// For when there is no memory for more than a writer has anyway.
void encode_briefly(const char* why, mp::detail::ByteWriter& out) noexcept {
    try {
        const mp::SerializationError error(
            SerializationPhase::encode_result, std::string(why).substr(0, 60)
        );
        mp::detail::encode_exception(out, std::make_exception_ptr(error), "worker");
    } catch (...) {
        std::abort();  // not even for that: this worker is lost
    }
}

}  // namespace

void encode_current(
    CallPhase phase, mp::detail::ByteWriter& out, const std::string& where
) noexcept {
    try {
        try {
            rethrow_current(phase);
        } catch (...) {
            mp::detail::encode_exception(out, std::current_exception(), where);
        }
    } catch (const std::exception& error) {
        out.reset();
        encode_briefly(error.what(), out);
    }
}

bool handling_cancelled_error() noexcept {
    try {
        throw;
    } catch (const CancelledError&) {
        return true;
    } catch (...) {
        return false;
    }
}

}  // namespace futures::detail
