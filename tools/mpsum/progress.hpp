// SPDX-License-Identifier: BSL-1.0
// Progress: how far the work is, and the line of text that says so.
// Threads: one.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace mpsum {

class Progress {
public:
    using Clock = std::chrono::steady_clock;

    explicit Progress(Clock::time_point start) : measured_at_(start) {}

    void add(std::uint64_t files, std::uint64_t bytes) {
        files_ += files;
        bytes_ += bytes;
    }

    /// What has been read so far, of unfinished files too.
    void set_read(std::uint64_t bytes) { read_ = bytes; }

    /// From here on comes work of which nothing has been counted ahead.
    void begin_part();

    /// Of this part. Known once a census has counted ahead; without it there is no bar
    /// and no ETA.
    void set_total(std::uint64_t files, std::uint64_t bytes);

    /// The line at this moment, at most `width` columns: files, bytes, bar, rate, ETA,
    /// as many of them as fit.
    std::string line(Clock::time_point now, std::size_t width);

private:
    void measure(Clock::time_point now);

    std::uint64_t bytes_so_far() const;

    std::uint64_t files_ = 0;
    std::uint64_t bytes_ = 0;
    std::uint64_t read_ = 0;
    bool total_known_ = false;
    std::uint64_t files_before_ = 0;  // this part
    std::uint64_t bytes_before_ = 0;
    std::uint64_t total_files_ = 0;
    std::uint64_t total_bytes_ = 0;
    Clock::time_point measured_at_;
    std::uint64_t measured_bytes_ = 0;
    double rate_ = 0;  // bytes a second, smoothed
};

/// "1.5 GiB"
std::string human_bytes(double bytes);

/// "0:07", "1:02:03"
std::string human_time(double seconds);

}  // namespace mpsum
