// SPDX-License-Identifier: BSL-1.0
#include "concurrency/run_options.hpp"

#include "mp/timeout.hpp"

#include "concurrency/event_loop_token.hpp"
#include "concurrency/running_tasks.hpp"
#include "concurrency/signals.hpp"
#include "concurrency/submit.hpp"
#include "os/check.hpp"
#include "os/pipe.hpp"
#include "os/poll.hpp"

#include <unistd.h>

#include <chrono>
#include <exception>
#include <limits.h>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace concurrency::detail {

namespace {

// How long the loop may stand still for somebody who reads it slowly.
constexpr std::chrono::milliseconds patience{100};

/// As far as that goes: nobody may read it.
void write_to_stderr(std::string_view text) noexcept {
    try {
        const mp::Deadline deadline(patience);
        while (!text.empty() && mp::os::wait_writable(STDERR_FILENO, deadline)) {
            // As much as a pipe that is writable takes at once.
            const std::string_view part = text.substr(0, PIPE_BUF);
            const iovec piece = mp::os::as_piece(std::as_bytes(std::span(part)));
            const ssize_t written =
                mp::os::write_quietly(STDERR_FILENO, std::span(&piece, 1));
            if (written > 0) {
                text.remove_prefix(static_cast<std::size_t>(written));
            } else if (mp::os::last_error() != std::errc::interrupted) {
                return;
            }
        }
    } catch (const std::exception&) {
        // There is no standard error.
    }
}

Task<> print_tasks(SignalReceiver signals) {
    while (const std::optional<int> signal = co_await signals.next()) {
        write_to_stderr(to_string(get_running_tasks()));
    }
}

}  // namespace

void print_tasks_on(int signal) {
    // Here, before the main task does anything: the signal may come at once.
    submit(
        current_token(),
        TaskOptions{.name = "print_tasks"},
        print_tasks,
        concurrency::open_signal_receiver(signal)
    );
}

}  // namespace concurrency::detail
