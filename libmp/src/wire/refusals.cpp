// SPDX-License-Identifier: BSL-1.0
// The counters, and the log's share of a minute.
#include "wire/refusals.hpp"

#include <chrono>
#include <string>

namespace mp::detail {

namespace {

constexpr std::uint64_t lines_a_minute = 30;

std::int64_t this_minute() noexcept {
    return std::chrono::duration_cast<std::chrono::minutes>(
               std::chrono::steady_clock::now().time_since_epoch()
    )
        .count();
}

}  // namespace

void Refusals::count(Outcome outcome) noexcept {
    // order: relaxed, a number that nothing depends on; as all of them here.
    counts_[static_cast<std::size_t>(outcome)].fetch_add(1, std::memory_order_relaxed);
}

std::uint64_t Refusals::get(Outcome outcome) const noexcept {
    // order: relaxed, as above.
    return counts_[static_cast<std::size_t>(outcome)].load(std::memory_order_relaxed);
}

bool Refusals::Share::takes_a_line(Write write) {
    const std::int64_t now = this_minute();
    std::int64_t before = minute_;
    if (before != now && minute_.compare_exchange_strong(before, now)) {
        const std::uint64_t wanted = wanted_.exchange(0);
        if (wanted > lines_a_minute) {
            write(
                std::to_string(wanted - lines_a_minute) +
                    " more clients were not accepted in that minute",
                __builtin_FILE(),
                __builtin_LINE()
            );
        }
    }
    return wanted_.fetch_add(1) < lines_a_minute;
}

connection::ListenerStatistics Refusals::statistics() const noexcept {
    return {
        .accepted = get(Outcome::accepted),
        .authentication_failures = get(Outcome::authentication_failure),
        .protocol_errors = get(Outcome::protocol_error),
        .disconnected = get(Outcome::disconnected),
        .timeouts = get(Outcome::timeout),
        .dropped = get(Outcome::dropped),
        .refused_users = get(Outcome::refused_user)};
}

void Refusals::reset() noexcept {
    for (auto& count : counts_) {
        count = 0;
    }
}

}  // namespace mp::detail
