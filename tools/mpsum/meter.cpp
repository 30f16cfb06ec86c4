// SPDX-License-Identifier: BSL-1.0
// Meter: one atomic counter at the start of a memory segment.
#include "meter.hpp"

#include "mp/fd.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <exception>
#include <memory>

namespace mpsum {

namespace {

using Counter = std::atomic<std::uint64_t>;
static_assert(Counter::is_always_lock_free);  // it stands in shared memory

constexpr std::size_t segment_size = 4096;

/// A fresh segment is zero, and so is the counter that lives at its start.
Counter& counter_in(const mp::detail::Segment& segment) {
    return *reinterpret_cast<Counter*>(segment.data());
}

std::unique_ptr<mp::detail::Segment>& attached() {
    static std::unique_ptr<mp::detail::Segment> segment;
    return segment;
}

}  // namespace

Meter::Meter() : segment_("mpsum-meter", segment_size) {}

std::string Meter::path() const {
    return "/proc/" + std::to_string(::getpid()) + "/fd/" +
           std::to_string(segment_.fileno());
}

std::uint64_t Meter::bytes() const noexcept {
    // order: relaxed, a figure for show; nothing else hangs on it.
    return counter_in(segment_).load(std::memory_order_relaxed);
}

void attach_meter(std::string path) noexcept {
    try {
        mp::UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
        if (fd) {
            attached() = std::make_unique<mp::detail::Segment>(std::move(fd));
        }
    } catch (const std::exception&) {
        attached().reset();
    }
}

void count_bytes(std::uint64_t bytes) noexcept {
    if (attached()) {
        // order: relaxed, as in bytes().
        counter_in(*attached()).fetch_add(bytes, std::memory_order_relaxed);
    }
}

}  // namespace mpsum
