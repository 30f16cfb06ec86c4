// SPDX-License-Identifier: BSL-1.0
// LogCapture: while it lives, what the library logs is kept here, and not shown.
#pragma once

#include "mp/log.hpp"

#include <spdlog/sinks/ostream_sink.h>

#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace test {

class LogCapture {
public:
    LogCapture() : before_(mp::get_logger().sinks()) {
        mp::get_logger().sinks() = {
            std::make_shared<spdlog::sinks::ostream_sink_mt>(text_, true)};
    }

    ~LogCapture() { mp::get_logger().sinks() = std::move(before_); }

    LogCapture(const LogCapture&) = delete;
    LogCapture& operator=(const LogCapture&) = delete;

    /// Requires: the threads that log have ended, or were waited for.
    std::string text() const { return text_.str(); }

private:
    std::ostringstream text_;
    std::vector<spdlog::sink_ptr> before_;
};

}  // namespace test
