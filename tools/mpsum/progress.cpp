// SPDX-License-Identifier: BSL-1.0
// Progress: a smoothed rate, and as much of the line as fits.
#include "progress.hpp"

#include "message.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace mpsum {

namespace {

constexpr std::size_t bar_width = 20;
constexpr double smoothing_seconds = 3;
constexpr double longest_eta = 99.0 * 3600;

std::string bar(double part) {
    const auto filled =
        static_cast<std::size_t>(std::lround(part * static_cast<double>(bar_width)));
    std::string text = "[" + std::string(filled, '=');
    text.append(bar_width - filled, ' ');
    return text + ']';
}

}  // namespace

std::string human_bytes(double bytes) {
    constexpr std::array<const char*, 6> units{"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    std::size_t unit = 0;
    while (bytes >= 1024 && unit + 1 != units.size()) {
        bytes /= 1024;
        ++unit;
    }
    std::array<char, 32> text{};
    std::snprintf(
        text.data(),
        text.size(),
        unit == 0 ? "%.0f %s" : "%.1f %s",
        bytes,
        units.at(unit)
    );
    return text.data();
}

std::string human_time(double seconds) {
    const auto whole = static_cast<long>(std::ceil(seconds));
    std::array<char, 32> text{};
    if (whole >= 3600) {
        std::snprintf(
            text.data(),
            text.size(),
            "%ld:%02ld:%02ld",
            whole / 3600,
            whole / 60 % 60,
            whole % 60
        );
    } else {
        std::snprintf(text.data(), text.size(), "%ld:%02ld", whole / 60, whole % 60);
    }
    return text.data();
}

void Progress::begin_part() {
    total_known_ = false;
    files_before_ = files_;
    bytes_before_ = bytes_so_far();
}

void Progress::set_total(std::uint64_t files, std::uint64_t bytes) {
    total_known_ = true;
    total_files_ = files_before_ + files;
    total_bytes_ = bytes_before_ + bytes;
}

std::uint64_t Progress::bytes_so_far() const {
    return std::max(bytes_, read_);
}

void Progress::measure(Clock::time_point now) {
    const double seconds = std::chrono::duration<double>(now - measured_at_).count();
    if (seconds < 0.05) {
        return;
    }
    const std::uint64_t bytes = bytes_so_far();
    const double latest = static_cast<double>(bytes - measured_bytes_) / seconds;
    const double weight = rate_ > 0 ? 1 - std::exp(-seconds / smoothing_seconds) : 1;
    rate_ += weight * (latest - rate_);
    measured_at_ = now;
    measured_bytes_ = bytes;
}

std::string Progress::line(Clock::time_point now, std::size_t width) {
    measure(now);
    const std::uint64_t bytes = bytes_so_far();
    std::string text = counted(files_, "file", "files");
    const auto append = [&](const std::string& piece) {
        if (text.size() + 2 + piece.size() <= width) {
            text += "  " + piece;
        }
    };
    if (!total_known_) {
        append(human_bytes(static_cast<double>(bytes)));
        append(human_bytes(rate_) + "/s");
        return text.substr(0, width);
    }
    text = std::to_string(files_) + '/' + counted(total_files_, "file", "files");
    const std::uint64_t done = std::min(bytes, total_bytes_);
    const double part = total_bytes_ == 0 ? (files_ >= total_files_ ? 1.0 : 0.0)
                                          : static_cast<double>(done) /
                                                static_cast<double>(total_bytes_);
    std::array<char, 16> percent{};
    std::snprintf(
        percent.data(), percent.size(), "%3d%%", static_cast<int>(part * 100)
    );
    append(
        human_bytes(static_cast<double>(done)) + '/' +
        human_bytes(static_cast<double>(total_bytes_))
    );
    append(bar(part) + ' ' + percent.data());
    append(human_bytes(rate_) + "/s");
    const double left = static_cast<double>(total_bytes_ - done) / std::max(rate_, 1.0);
    append(left < longest_eta ? "ETA " + human_time(left) : "ETA -:--");
    return text.substr(0, width);
}

}  // namespace mpsum
