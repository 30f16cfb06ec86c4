// SPDX-License-Identifier: BSL-1.0
#include "concurrency/run_options.hpp"

#include "concurrency/event_loop_token.hpp"
#include "concurrency/running_tasks.hpp"
#include "concurrency/signals.hpp"
#include "concurrency/submit.hpp"
#include "os/check.hpp"

#include <unistd.h>

#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace concurrency::detail {

namespace {

/// As far as that goes: nobody may read it.
void write_to_stderr(std::string_view text) noexcept {
    while (!text.empty()) {
        const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
        if (written > 0) {
            text.remove_prefix(static_cast<std::size_t>(written));
        } else if (mp::os::last_error() != std::errc::interrupted) {
            return;
        }
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
