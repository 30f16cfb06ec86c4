// SPDX-License-Identifier: BSL-1.0
#include "concurrency/subprocess.hpp"

#include <string>
#include <utility>

namespace concurrency {

namespace {

std::string as_text(const CompletedProcess& process) {
    std::string text = "the command '";
    for (const std::string& argument : process.args()) {
        text += (&argument == &process.args().front() ? "" : " ") + argument;
    }
    const int code = process.returncode();
    return text + (code < 0 ? "' was ended by signal " + std::to_string(-code)
                            : "' ended with the exit code " + std::to_string(code));
}

}  // namespace

CompletedProcess::CompletedProcess(
    std::vector<std::string> args, int returncode, std::string out, std::string err
) noexcept
    : args_(std::move(args)),
      returncode_(returncode),
      out_(std::move(out)),
      err_(std::move(err)) {}

void CompletedProcess::check_returncode() const {
    if (returncode_ != 0) {
        throw CalledProcessError(*this);
    }
}

CalledProcessError::CalledProcessError(const CompletedProcess& process)
    : std::runtime_error(as_text(process)),
      process_(std::make_shared<CompletedProcess>(process)) {}

}  // namespace concurrency
