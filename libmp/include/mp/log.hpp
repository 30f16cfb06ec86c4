// SPDX-License-Identifier: BSL-1.0
// get_logger, log_to_stderr: the library's logger.
// Python:  multiprocessing.get_logger, multiprocessing.log_to_stderr.
// Differs: it is an spdlog logger. Errors that no caller can get reach stderr even
//          before log_to_stderr(); everything else only after it, or by sinks of the
//          program's own. The stderr sink keeps Python's format, "[LEVEL/ProcessName]
//          message"; for another one add another sink. Every child gets the level, also
//          under fork; sinks of the program's own exist in forked children only.
// Threads: logging from any; change sinks before there are others, as with every spdlog
//          logger. A forked child may log at once, except to sinks that lock (spdlog's
//          _mt).
// Owns:    the logger, which is never destroyed, so destructors of statics may still
//          log.
#pragma once

#include <spdlog/logger.h>

#include <optional>

namespace mp {

/// The logger of this process, named "mp". Its level is `warn` at first.
spdlog::logger& get_logger();

/// Shows on stderr what the logger's level lets through. Without a level, leaves it as
/// it is. Calling it again changes only the level.
spdlog::logger& log_to_stderr(std::optional<spdlog::level::level_enum> level = {});

}  // namespace mp
