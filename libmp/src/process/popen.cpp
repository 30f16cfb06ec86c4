// SPDX-License-Identifier: BSL-1.0
// What all kinds of Popen share: watching, signalling, reaping, and the handshake.
#include "process/popen.hpp"

#include "mp/errors.hpp"

#include "data/ended_early.hpp"
#include "os/check.hpp"
#include "os/poll.hpp"
#include "process/child_link.hpp"

#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <string>
#include <system_error>
#include <utility>

namespace mp::detail {
namespace {

using namespace std::chrono_literals;

// How long to wait for an exit code: of the fork server, which sees the end when we see
// it, unless it is stopped; or of the kernel, while somebody else holds the child.
constexpr auto code_grace = 5s;

// How long a child's end may stay unseen after that of its socket, and the other way
// round: the kernel closes the sockets of a process that ends a little before its pidfd
// becomes readable.
constexpr auto socket_grace = 2s;

// How long a killed child may take to go: one with much memory, on a busy machine.
constexpr auto killed_grace = 10s;

std::optional<int> code_of(const std::optional<os::ExitStatus>& status) {
    return status ? std::optional(status->code) : std::nullopt;
}

std::string in_words(int code) {
    return code < 0 ? "was killed by signal " + std::to_string(-code)
                    : "ended with exit code " + std::to_string(code);
}

}  // namespace

bool Popen::has_ended() const {
    return os::pidfd_ended(pidfd_.get());
}

bool Popen::wait(const Deadline& deadline) const {
    return os::wait_readable(pidfd_.get(), deadline);
}

std::optional<int> Popen::poll() {
    const MutexLock held(mutex_);
    if (!status_ && has_ended()) {
        const auto unknown = os::ExitStatus{.code = os::unknown_code};
        status_ = collect(Deadline(code_grace)).value_or(unknown);
        lifeline_.cut();
    }
    return code_of(status_);
}

std::optional<int> Popen::poll_now() {
    const MutexLock held(mutex_);
    if (!status_ && has_ended()) {
        status_ = collect(Deadline(0s));
        if (status_) {
            lifeline_.cut();
        }
    }
    return code_of(status_);
}

std::size_t Popen::peak_memory_bytes() {
    return status().value_or(os::ExitStatus{}).peak_memory_bytes;
}

std::optional<os::ExitStatus> Popen::status() {
    const MutexLock held(mutex_);
    return status_;
}

void Popen::hold(Lifeline lifeline) noexcept {
    static_cast<void>(lifeline.childs_end());
    const MutexLock held(mutex_);
    lifeline_ = std::move(lifeline);
}

void Popen::send_signal(int signal) {
    if (has_ended()) {
        return;
    }
    try {
        os::pidfd_send_signal(pidfd_.get(), signal);
    } catch (const std::system_error& error) {
        const bool is_to_end = signal == SIGTERM || signal == SIGKILL;
        if (error.code() != std::errc::operation_not_permitted || !is_to_end) {
            throw;
        }
        const MutexLock held(mutex_);
        if (!lifeline_) {
            throw;
        }
        lifeline_.cut();
    }
}

std::optional<os::ExitStatus> Popen::collect_own_child(const Deadline& deadline) const {
    // Nothing tells when it is let go: the pidfd is readable already.
    constexpr auto longest_pause = 50ms;
    for (auto pause = 1ms;; pause = std::min(2 * pause, longest_pause)) {
        if (const auto status = os::pidfd_collect_status(pidfd_.get())) {
            return status;
        }
        if (deadline.expired()) {
            return std::nullopt;
        }
        os::poll({}, deadline.sooner(Timeout(pause)));
    }
}

void LinkedPopen::send(
    std::span<const std::byte> body,
    std::span<const UniqueFd> fds,
    std::span<const TravellingSecret> secrets,
    const Deadline& deadline
) {
    try {
        send_start(link_.get(), body, fds, secrets, deadline);
    } catch (const TimeoutError&) {
        throw_too_late();
    } catch (const std::system_error& error) {
        if (!os::peer_is_gone(error)) {
            kill_and_reap();
            std::throw_with_nested(SpawnError(
                SpawnStage::os,
                std::string("cannot tell the child what it is to run: ") + error.what()
            ));
        }
        // What it said before it ended is still to be read.
        broken_ = true;
    }
}

void LinkedPopen::await_start(const Deadline& deadline) {
    try {
        // Its end of the socket alone would not do: a process that another thread
        // forked in between holds a copy of it.
        std::array<pollfd, 2> signs{
            pollfd{.fd = link_.get(), .events = POLLIN, .revents = 0},
            pollfd{.fd = sentinel(), .events = POLLIN, .revents = 0},
        };
        os::poll(signs, deadline);
        // Looked at again: it may have answered and ended while poll() looked.
        if (signs[1].revents != 0 && !os::wait_readable(link_.get(), Deadline(0s))) {
            throw_ended_early();
        }
        receive_answer(link_.get(), broken_ ? deadline.sooner(socket_grace) : deadline);
        link_.reset();
    } catch (const BinaryMismatch&) {
        kill_and_reap();
        throw;
    } catch (const TimeoutError&) {
        throw_too_late();
    } catch (const EOFError&) {
        throw_ended_early();
    } catch (const std::system_error&) {
        throw_ended_early();
    }
}

void LinkedPopen::throw_ended_early() {
    if (!wait(Deadline(socket_grace))) {
        // It closed the socket and goes on: it will never say that it runs.
        kill_and_reap();
    }
    const auto code = poll();
    throw EndedEarly(
        SpawnStage::handshake,
        "the child " + in_words(code.value_or(os::unknown_code)) +
            " before it said that it runs; does main() begin with "
            "mp::freeze_support(argc, argv)?",
        code == os::unknown_code ? std::nullopt : code
    );
}

void LinkedPopen::throw_too_late() {
    kill_and_reap();
    throw SpawnError(
        SpawnStage::timeout,
        "the child (pid " + std::to_string(pid()) +
            ") did not say in time that it runs and was killed; does main() begin with "
            "mp::freeze_support(argc, argv)?"
    );
}

void Popen::kill_and_reap() noexcept {
    try {
        send_signal(SIGKILL);
        wait(Deadline(killed_grace));
        poll();
    } catch (const std::exception&) {
        // What is being thrown already says more.
    }
}

}  // namespace mp::detail
