// SPDX-License-Identifier: BSL-1.0
#include "process_pool/call_trailer.hpp"

#include "futures/detail/task_control.hpp"
#include "mp/detail/bytes.hpp"

#include <chrono>
#include <cstring>

namespace futures::detail {

void write_trailer(mp::detail::ByteWriter& out, const TaskControl& control) {
    out.put(control.name.data(), control.name.size());
    out.put_value(CallTrailer{
        control.limit.duration().count(), control.name.size(), control.priority});
}

std::optional<TrailedCall> without_trailer(std::span<const std::byte> message
) noexcept {
    CallTrailer trailer{};
    if (message.size() < sizeof trailer) {
        return std::nullopt;
    }
    // A copy: the message may stand in memory that others see.
    const std::size_t rest = message.size() - sizeof trailer;
    std::memcpy(&trailer, message.data() + rest, sizeof trailer);
    if (trailer.name_size > rest || trailer.limit <= 0) {
        return std::nullopt;
    }
    const std::size_t call = rest - trailer.name_size;
    return TrailedCall{
        message.first(call),
        {reinterpret_cast<const char*>(message.data()) + call, trailer.name_size},
        std::chrono::nanoseconds(trailer.limit),
        static_cast<int>(trailer.priority)};
}

}  // namespace futures::detail
