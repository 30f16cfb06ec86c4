// SPDX-License-Identifier: BSL-1.0
// refusals: counts what becomes of a Listener's clients, and tells the log of those
// that were not accepted: of so many a minute, for strangers must not fill a disk.
#pragma once

#include "mp/listener.hpp"

#include "util/diagnostics.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>

namespace mp::detail {

enum class Outcome : std::uint8_t {
    accepted,
    authentication_failure,
    protocol_error,
    disconnected,
    timeout,
    dropped,
    refused_user,
};

/// Any thread may call anything.
class Refusals {
public:
    using Write = decltype(&log_info);

    void count(Outcome outcome) noexcept;

    /// The same; `text()` is for the log, if there is still room in this minute.
    template <class Text>
    void count(Outcome outcome, Text text) noexcept {
        count(outcome);
        log(text, outcome == Outcome::refused_user ? &log_warning : &log_info);
    }

    /// Only the log.
    template <class Text>
    void log(Text text, Write write = &log_info) noexcept {
        try {
            if ((write == &log_warning ? warnings_ : infos_).takes_a_line(write)) {
                write(text(), __builtin_FILE(), __builtin_LINE());
            }
        } catch (const std::exception&) {
            // No memory for a line: it is counted, which is what matters.
        }
    }

    connection::ListenerStatistics statistics() const noexcept;

    /// In a forked child: it has done nothing yet.
    void reset() noexcept;

private:
    // The lines of a minute.
    class Share {
    public:
        bool takes_a_line(Write write);

    private:
        // The minute that is counted, and what wanted to be logged in it.
        std::atomic<std::int64_t> minute_{-1};
        std::atomic<std::uint64_t> wanted_{0};
    };

    std::uint64_t get(Outcome outcome) const noexcept;

    static constexpr std::size_t outcomes = 7;
    std::array<std::atomic<std::uint64_t>, outcomes> counts_{};
    // Scanners, which are told of in passing, leave the warnings their lines.
    Share infos_;
    Share warnings_;
};

}  // namespace mp::detail
