// SPDX-License-Identifier: BSL-1.0
// Console: everything that mpsum writes. Results go to standard output in whole lines;
// messages and the progress bar go to standard error and never cut a line in two.
// Threads: the main thread, but close() may be called by another one.
#pragma once

#include "mp/thread_safety.hpp"
#include "mp/timeout.hpp"

#include "progress.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace mpsum {

enum class ProgressMode { automatic, always, never };

class Console {
public:
    explicit Console(ProgressMode mode);

    /// Takes the bar away. What was printed and not flushed is lost.
    ~Console();
    Console(Console&&) = delete;
    Console& operator=(Console&&) = delete;

    bool shows_progress() const noexcept { return shows_progress_; }

    /// Keeps a whole line for the next flush().
    /// Throws: what flush() throws, when the buffer is full.
    void print(std::string_view line);

    /// Throws: std::system_error when standard output cannot take it (a full disk, a
    /// closed pipe).
    void flush();

    /// Flushes, and closes standard output: some file systems tell only then.
    /// Throws: as flush().
    void finish();

    /// "mpsum: text" on standard error, after everything printed so far.
    void message(std::string_view text);

    /// Redraws the bar, but not more often than the eye can follow.
    void show(Progress& progress);

    /// For the end of the program from another thread: waits until no write is under
    /// way, clears the bar, and lets no write begin any more.
    void close(mp::Timeout timeout);

private:
    /// While it lives, the main thread is writing.
    class Writing;

    void write_out(std::string_view text);
    void write_error(std::string_view text);
    void clear_bar();

    // Set once in the constructor.
    bool shows_progress_;
    bool out_is_terminal_;
    std::size_t piece_;  ///< no write to standard output is larger

    // Of the main thread.
    std::string pending_;
    Progress::Clock::time_point next_show_{};

    // Guarded by mutex_.
    mp::detail::Mutex mutex_;
    mp::detail::CondVar changed_;
    bool writing_ MP_GUARDED_BY(mutex_) = false;
    bool closed_ MP_GUARDED_BY(mutex_) = false;
    bool bar_shown_ MP_GUARDED_BY(mutex_) = false;
};

}  // namespace mpsum
