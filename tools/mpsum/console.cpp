// SPDX-License-Identifier: BSL-1.0
// Console: lines are gathered and written in pieces that no end of the process can cut.
#include "console.hpp"

#include "os/check.hpp"

#include <climits>

#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <utility>

namespace mpsum {

namespace {

constexpr std::size_t max_pending = 64 * 1024;
constexpr std::chrono::milliseconds redraw_interval{100};
constexpr std::string_view erase_line = "\r\033[K";

bool wants_bar(ProgressMode mode) {
    if (mode == ProgressMode::automatic) {
        const char* terminal = std::getenv("TERM");
        return ::isatty(STDERR_FILENO) == 1 && terminal != nullptr &&
               std::string_view(terminal) != "dumb";
    }
    return mode == ProgressMode::always;
}

bool is_pipe(int fd) {
    struct stat about {};
    return ::fstat(fd, &about) == 0 && S_ISFIFO(about.st_mode);
}

std::size_t terminal_width() {
    constexpr std::size_t usual = 80;
    winsize size{};
    if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 2) {
        return usual;
    }
    return size.ws_col;
}

/// A program in the background leaves the terminal to the one in front.
bool in_background() {
    const pid_t front = ::tcgetpgrp(STDERR_FILENO);
    return front > 0 && front != ::getpgrp();
}

/// The longest beginning of `text` that consists of whole lines and is no longer than
/// `max_size`; one line when that alone is longer.
std::string_view next_piece(std::string_view text, std::size_t max_size) {
    if (text.size() <= max_size) {
        return text;
    }
    // A line ends with a newline, with --zero with a NUL.
    constexpr std::string_view ends("\n\0", 2);
    std::size_t end = text.substr(0, max_size).find_last_of(ends);
    if (end == std::string_view::npos) {
        end = text.find_first_of(ends);
    }
    return end == std::string_view::npos ? text : text.substr(0, end + 1);
}

}  // namespace

class Console::Writing {
public:
    explicit Writing(Console& console) : console_(console) {
        const mp::detail::MutexLock lock(console_.mutex_);
        while (console_.closed_) {
            console_.changed_.wait(console_.mutex_);  // the process is about to end
        }
        console_.writing_ = true;
    }

    ~Writing() {
        const mp::detail::MutexLock lock(console_.mutex_);
        console_.writing_ = false;
        console_.changed_.notify_all();
    }

    Writing(Writing&&) = delete;
    Writing& operator=(Writing&&) = delete;

private:
    Console& console_;
};

// A write to a pipe of up to PIPE_BUF bytes happens as a whole or not at all, even when
// the process is ended while the pipe is full.
Console::Console(ProgressMode mode)
    : shows_progress_(wants_bar(mode)),
      out_is_terminal_(::isatty(STDOUT_FILENO) == 1),
      piece_(is_pipe(STDOUT_FILENO) ? PIPE_BUF : max_pending) {}

Console::~Console() {
    const Writing writing(*this);
    clear_bar();
}

void Console::print(std::string_view line) {
    if (pending_.size() + line.size() > max_pending) {
        flush();
    }
    pending_ += line;
}

void Console::flush() {
    if (pending_.empty()) {
        return;
    }
    const std::string text = std::exchange(pending_, {});
    const Writing writing(*this);
    if (out_is_terminal_) {
        clear_bar();
    }
    write_out(text);
}

void Console::finish() {
    flush();
    mp::os::check(::close(STDOUT_FILENO), "write error");
}

void Console::message(std::string_view text) {
    flush();
    const Writing writing(*this);
    clear_bar();
    write_error(std::string("mpsum: ").append(text).append("\n"));
}

void Console::show(Progress& progress) {
    const auto now = Progress::Clock::now();
    if (!shows_progress_ || now < next_show_ || in_background()) {
        return;
    }
    next_show_ = now + redraw_interval;
    const Writing writing(*this);
    // Overwritten, then cut: erasing first would flicker. The last column stays free,
    // or the cursor would wrap.
    write_error("\r" + progress.line(now, terminal_width() - 1) + "\033[K");
    const mp::detail::MutexLock lock(mutex_);
    bar_shown_ = true;
}

void Console::close(mp::Timeout timeout) {
    const mp::Deadline deadline(timeout);
    const mp::detail::MutexLock lock(mutex_);
    closed_ = true;
    while (writing_ && !deadline.expired()) {
        changed_.wait_until(mutex_, deadline);
    }
    if (bar_shown_) {
        bar_shown_ = false;
        write_error(erase_line);
    }
}

void Console::clear_bar() {
    {
        const mp::detail::MutexLock lock(mutex_);
        if (!std::exchange(bar_shown_, false)) {
            return;
        }
    }
    write_error(erase_line);
    next_show_ = {};
}

void Console::write_out(std::string_view text) {
    while (!text.empty()) {
        std::string_view piece = next_piece(text, piece_);
        text.remove_prefix(piece.size());
        while (!piece.empty()) {
            const auto count = mp::os::check_restarting("write error", [&] {
                return ::write(STDOUT_FILENO, piece.data(), piece.size());
            });
            piece.remove_prefix(static_cast<std::size_t>(count));
        }
    }
}

// Nobody is left to be told when standard error fails.
void Console::write_error(std::string_view text) {
    while (!text.empty()) {
        const auto count = mp::os::restarting([&] {
            return ::write(STDERR_FILENO, text.data(), text.size());
        });
        if (count <= 0) {
            return;
        }
        text.remove_prefix(static_cast<std::size_t>(count));
    }
}

}  // namespace mpsum
