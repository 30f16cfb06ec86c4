// SPDX-License-Identifier: BSL-1.0
#include "process_pool/worker_output.hpp"

#include "os/check.hpp"
#include "os/pipe.hpp"
#include "os/signals.hpp"
#include "process_pool/crash_message.hpp"
#include "util/diagnostics.hpp"
#include "util/library_thread.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <new>
#include <span>
#include <tuple>
#include <utility>

namespace futures::detail {

using mp::detail::MutexLock;

namespace os = mp::os;

namespace {

/// This program's own.
constexpr std::array<int, WorkerOutput::streams> own_streams{
    STDOUT_FILENO, STDERR_FILENO};

/// A pipe that can be written to has room for so much.
constexpr std::size_t piece = 4096;

/// At the end, without any progress.
constexpr int patience_ms = 10'000;

/// What is to be written next: whole lines, if it has any.
std::string_view next_piece(std::string_view held) {
    const std::string_view most = held.substr(0, piece);
    const auto line_end = most.rfind('\n');
    return line_end == std::string_view::npos ? most : most.substr(0, line_end + 1);
}

bool would_wait() noexcept {
    const auto error = os::last_error();
    return error == std::errc::resource_unavailable_try_again ||
           error == std::errc::operation_would_block || error == std::errc::interrupted;
}

}  // namespace

void TextTail::add(std::string_view text) {
    text.remove_prefix(text.size() - std::min(text.size(), size));
    const std::size_t kept = std::min(text_.size(), size - text.size());
    text_.erase(0, text_.size() - kept);
    text_ += text;
}

std::array<int, WorkerOutput::streams> WorkerOutput::open(std::uint32_t worker) {
    Channel channel{};
    channel.worker = worker;
    channel.is_current = true;
    std::array<int, streams> numbers{};
    for (std::size_t i = 0; i < streams; ++i) {
        std::tie(channel.readers[i], channel.writers[i]) = os::make_pipe();
        numbers[i] = channel.writers[i].get();
        // The worker's end is another open file: it waits as ever.
        os::check(
            ::fcntl(channel.readers[i].get(), F_SETFL, O_NONBLOCK), "fcntl(O_NONBLOCK)"
        );
    }
    const MutexLock lock(mutex_);
    for (Channel& other : channels_) {
        if (other.is_current && other.worker == worker) {
            other.is_current = false;
            other.writers = {};
        }
    }
    channels_.push_back(std::move(channel));
    return numbers;
}

void WorkerOutput::handed_over(std::uint32_t worker) noexcept {
    const MutexLock lock(mutex_);
    for (Channel& channel : channels_) {
        if (channel.is_current && channel.worker == worker) {
            channel.writers = {};
        }
    }
    bell_.ring();
}

void WorkerOutput::drop_unstarted() noexcept {
    const MutexLock lock(mutex_);
    std::erase_if(channels_, [](const Channel& channel) {
        return channel.is_current && channel.writers[0];
    });
    bell_.ring();
}

// The parent's thread that forked holds the lock: in the child nobody does.
void WorkerOutput::leave_to_parent(std::uint32_t worker) noexcept {
    for (Channel& channel : channels_) {
        channel.readers = {};
        if (!channel.is_current || channel.worker != worker) {
            channel.writers = {};
            continue;
        }
        for (mp::UniqueFd& writer : channel.writers) {
            static_cast<void>(writer.release());  // print_into() closes it
        }
    }
}

void WorkerOutput::start() {
    ending_ = false;
    in_a_hurry_ = false;
    const os::SignalsBlocked blocked;  // signals are the program's threads' business
    thread_ = std::thread([this, counted = mp::detail::LibraryThread()] { run(); });
}

void WorkerOutput::tell(CrashReport& report, std::uint32_t worker) {
    const MutexLock lock(mutex_);
    for (Channel& channel : channels_) {
        if (channel.is_current && channel.worker == worker) {
            read_rest(channel);
            report.last_stdout = printable(channel.tails[0].text());
            report.last_stderr = printable(channel.tails[1].text());
            report.last_output = printable(channel.both.text());
        }
    }
    bell_.ring();  // there may be more to pass on
}

void WorkerOutput::finish() noexcept {
    ending_ = true;
    bell_.ring();
    if (thread_.joinable()) {
        thread_.join();
        return;
    }
    const MutexLock lock(mutex_);
    channels_.clear();
}

void WorkerOutput::hurry() noexcept {
    in_a_hurry_ = true;
    bell_.ring();
}

void WorkerOutput::abandon() noexcept {
    // A std::thread that is joinable may not be destroyed; this one exists no more.
    new (&thread_) std::thread();
}

// ---- the thread

void WorkerOutput::run() noexcept {
    ::pthread_setname_np(::pthread_self(), "mp-output");
    std::vector<pollfd> entries;
    try {
        while (!ending_) {
            turn(entries, -1);
        }
        end_well();
    } catch (const std::exception& error) {
        mp::detail::log_error(
            std::string("what workers print is lost from now on: ") + error.what()
        );
    }
    const MutexLock lock(mutex_);
    channels_.clear();  // who still writes had better meet EPIPE than wait for ever
    held_ = {};
}

/// All that was printed when the last worker had ended, and no more: processes that
/// tasks left behind may print for ever.
void WorkerOutput::end_well() {
    {
        const MutexLock lock(mutex_);
        for (Channel& channel : channels_) {
            read_rest(channel);
        }
        channels_.clear();
    }
    bell_.take();  // of finish()
    std::vector<pollfd> entries;
    while (holds_any()) {
        const bool hurry = in_a_hurry_;
        const Turn what = turn(entries, hurry ? 0 : patience_ms);
        if (what == Turn::timed_out || (hurry && what == Turn::idle)) {
            return;
        }
    }
}

/// Waits for something to do, and does it.
WorkerOutput::Turn WorkerOutput::turn(std::vector<pollfd>& entries, int wait_ms) {
    list(entries);
    const auto ready = os::check_restarting("poll", [&] {
        return ::poll(entries.data(), entries.size(), wait_ms);
    });
    if (ready == 0) {
        return Turn::timed_out;
    }
    bell_.take();
    {
        const MutexLock lock(mutex_);
        read_all();
    }
    bool any = false;
    for (std::size_t i = 0; i < streams; ++i) {
        if (entries[1 + i].revents != 0) {
            any = pass_on(i) || any;
        }
    }
    return any ? Turn::passed_on : Turn::idle;
}

void WorkerOutput::list(std::vector<pollfd>& entries) {
    entries.clear();
    entries.push_back({.fd = bell_.fileno(), .events = POLLIN, .revents = 0});
    const MutexLock lock(mutex_);
    for (std::size_t i = 0; i < streams; ++i) {
        entries.push_back(
            {.fd = held_[i].empty() ? -1 : own_streams[i],
             .events = POLLOUT,
             .revents = 0}
        );
    }
    for (const Channel& channel : channels_) {
        for (std::size_t i = 0; i < streams; ++i) {
            if (held_[i].size() < most_held && channel.readers[i]) {
                entries.push_back(
                    {.fd = channel.readers[i].get(), .events = POLLIN, .revents = 0}
                );
            }
        }
    }
}

void WorkerOutput::read_all() {
    for (Channel& channel : channels_) {
        for (std::size_t i = 0; i < streams; ++i) {
            while (held_[i].size() < most_held && read(channel, i, most_held)) {
            }
        }
    }
    // Nobody can write there any more, and nobody will ask.
    std::erase_if(channels_, [](const Channel& channel) {
        return !channel.is_current && !channel.readers[0] && !channel.readers[1];
    });
}

/// What is there now, however much is held already.
void WorkerOutput::read_rest(Channel& channel) {
    for (std::size_t i = 0; i < streams; ++i) {
        int there = 0;
        if (!channel.readers[i] ||
            ::ioctl(channel.readers[i].get(), FIONREAD, &there) < 0) {
            continue;
        }
        auto left = static_cast<std::size_t>(std::max(there, 0));
        while (left != 0) {
            const std::size_t before = held_[i].size();
            if (!read(channel, i, left)) {
                break;
            }
            left -= held_[i].size() - before;
        }
    }
}

/// Once, at most so much; false when there is nothing more for now.
bool WorkerOutput::read(Channel& channel, std::size_t stream, std::size_t most) {
    mp::UniqueFd& reader = channel.readers[stream];
    if (!reader) {
        return false;
    }
    std::array<char, std::size_t{64} << 10U> bytes;
    const ssize_t got =
        ::read(reader.get(), bytes.data(), std::min(most, bytes.size()));
    if (got <= 0) {
        if (got == 0 || !would_wait()) {
            reader.reset();
        }
        return false;
    }
    const std::string_view text(bytes.data(), static_cast<std::size_t>(got));
    channel.tails[stream].add(text);
    channel.both.add(text);
    held_[stream] += text;
    return true;
}

/// A piece of what is held. Requires: the stream can be written to, or is broken. Not
/// under the lock: somebody else may have filled it meanwhile.
bool WorkerOutput::pass_on(std::size_t stream) {
    std::string text;
    {
        const MutexLock lock(mutex_);
        text = next_piece(held_[stream]);
    }
    const std::array<iovec, 1> pieces{os::as_piece(std::as_bytes(std::span(text)))};
    const ssize_t written = os::write_quietly(own_streams[stream], pieces);
    if (written < 0 && would_wait()) {
        return false;
    }
    const MutexLock lock(mutex_);
    if (written < 0) {
        held_[stream].clear();  // nobody is there to read it
        return true;
    }
    held_[stream].erase(0, static_cast<std::size_t>(written));
    return written > 0;
}

bool WorkerOutput::holds_any() {
    const MutexLock lock(mutex_);
    return std::any_of(held_.begin(), held_.end(), [](const std::string& held) {
        return !held.empty();
    });
}

// ---- in a worker

void print_into(const std::array<int, WorkerOutput::streams>& writers) {
    for (std::size_t i = 0; i < writers.size(); ++i) {
        os::check_restarting("dup2", [&] {
            return ::dup2(writers[i], own_streams[i]);
        });
    }
    for (const int writer : writers) {
        ::close(writer);
    }
    // With a buffer of ours: a stream to which the parent wrote before it forked keeps
    // the bounds of its old one, and does not look for the ends of lines.
    static std::array<char, BUFSIZ> buffer;
    static_cast<void>(std::setvbuf(stdout, buffer.data(), _IOLBF, buffer.size()));
}

}  // namespace futures::detail
