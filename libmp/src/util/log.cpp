// SPDX-License-Identifier: BSL-1.0
#include "mp/log.hpp"

#include "os/check.hpp"
#include "os/pipe.hpp"
#include "util/diagnostics.hpp"

#include <spdlog/sinks/sink.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <span>
#include <string>

namespace mp {

namespace {

// Renaming is rare and a name may be in use in another thread: old ones are kept.
struct ProcessName {
    std::string text;
    const ProcessName* before;
};

std::atomic<const ProcessName*>& current_name() {
    static auto& name = *new std::atomic<const ProcessName*>(new ProcessName{
        .text = "MainProcess", .before = nullptr});
    return name;
}

// Python's names.
std::string_view name_of(spdlog::level::level_enum level) noexcept {
    switch (level) {
    case spdlog::level::trace:
        return "SUBDEBUG";
    case spdlog::level::debug:
        return "DEBUG";
    case spdlog::level::info:
        return "INFO";
    case spdlog::level::warn:
        return "WARNING";
    case spdlog::level::err:
        return "ERROR";
    default:
        return "CRITICAL";
    }
}

void write_to_stderr(std::string_view text) noexcept {
    auto left = std::as_bytes(std::span(text.data(), text.size()));
    while (!left.empty()) {
        const iovec piece = os::as_piece(left);
        const auto written = os::restarting([&] {
            return os::write_quietly(2, {&piece, 1});
        });
        if (written <= 0) {
            return;  // nobody is left to tell
        }
        left = left.subspan(static_cast<std::size_t>(written));
    }
}

// One write a message and no lock: lines of several processes do not mix, and a forked
// child cannot inherit a lock that a thread of its parent held.
class StderrSink : public spdlog::sinks::sink {
public:
    StderrSink() { set_level(spdlog::level::err); }

    void log(const spdlog::details::log_msg& message) override {
        std::string line;
        line.append("[").append(name_of(message.level));
        line.append("/").append(detail::log_process_name()).append("] ");
        line.append(message.payload.data(), message.payload.size()).append("\n");
        write_to_stderr(line);
    }

    void flush() override {}

    void set_pattern(const std::string&) override {}

    void set_formatter(std::unique_ptr<spdlog::formatter>) override {}
};

const std::shared_ptr<StderrSink>& stderr_sink() {
    static const auto& sink =
        *new std::shared_ptr<StderrSink>(std::make_shared<StderrSink>());
    return sink;
}

// Made before main, so that no fork can fall into the making.
[[maybe_unused]] const bool logger_made_early = (get_logger(), current_name(), true);

constexpr int to_stderr_bit = 16;

void log(
    spdlog::level::level_enum level,
    std::string_view message,
    const char* file,
    int line
) noexcept {
    try {
        get_logger().log(
            spdlog::source_loc(file, line, ""),
            level,
            spdlog::string_view_t(message.data(), message.size())
        );
    } catch (...) {
        write_to_stderr(message);
        write_to_stderr("\n");
    }
}

}  // namespace

spdlog::logger& get_logger() {
    static auto& logger = *[] {
        auto* made = new spdlog::logger("mp", stderr_sink());
        made->set_level(spdlog::level::warn);
        return made;
    }();
    return logger;
}

spdlog::logger& log_to_stderr(std::optional<spdlog::level::level_enum> level) {
    stderr_sink()->set_level(spdlog::level::trace);
    spdlog::logger& logger = get_logger();
    if (level) {
        logger.set_level(*level);
    }
    return logger;
}

namespace detail {

void log_error(std::string_view message, const char* file, int line) noexcept {
    log(spdlog::level::err, message, file, line);
}

void log_warning(std::string_view message, const char* file, int line) noexcept {
    log(spdlog::level::warn, message, file, line);
}

void log_warning_on_stderr(
    std::string_view message, const char* file, int line
) noexcept {
    log(spdlog::level::warn, message, file, line);
    const auto& ours = stderr_sink();
    const auto& sinks = get_logger().sinks();
    // Not when the program took our sink out, wants no warnings, or has just seen it.
    if (std::find(sinks.begin(), sinks.end(), ours) != sinks.end() &&
        get_logger().should_log(spdlog::level::warn) &&
        !ours->should_log(spdlog::level::warn)) {
        ours->log(spdlog::details::log_msg(
            "mp",
            spdlog::level::warn,
            spdlog::string_view_t(message.data(), message.size())
        ));
    }
}

void log_info(std::string_view message, const char* file, int line) noexcept {
    log(spdlog::level::info, message, file, line);
}

void log_debug(std::string_view message, const char* file, int line) noexcept {
    log(spdlog::level::debug, message, file, line);
}

int log_level() noexcept {
    const bool to_stderr = stderr_sink()->level() == spdlog::level::trace;
    return static_cast<int>(get_logger().level()) | (to_stderr ? to_stderr_bit : 0);
}

void set_log_level(int parents_log_level) {
    const int level = parents_log_level & ~to_stderr_bit;
    if (level < 0 || level >= spdlog::level::n_levels) {
        return;
    }
    get_logger().set_level(static_cast<spdlog::level::level_enum>(level));
    if ((parents_log_level & to_stderr_bit) != 0) {
        log_to_stderr();
    }
}

void set_log_process_name(std::string_view name) {
    std::atomic<const ProcessName*>& current = current_name();
    current.store(new ProcessName{.text = std::string(name), .before = current.load()});
}

std::string_view log_process_name() noexcept {
    return current_name().load()->text;
}

}  // namespace detail

}  // namespace mp
