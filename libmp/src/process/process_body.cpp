// SPDX-License-Identifier: BSL-1.0
// The exit code of a process, and the report on stderr of an exception that ends it.
#include "process/process_body.hpp"

#include "mp/detail/nested_exception.hpp"
#include "mp/errors.hpp"

#include "os/stream_text.hpp"
#include "util/demangle.hpp"

#include <cstdio>
#include <exception>

namespace mp::detail {
namespace {

// One line an exception: its type, what it says, then its causes.
void describe_current(std::string& text) {
    const std::string type = current_exception_type("unknown exception");
    try {
        throw;
    } catch (const std::exception& error) {
        text += type + ": " + error.what() + "\n";
        if (const std::exception_ptr cause = current_cause()) {
            text += "caused by ";
            try {
                std::rethrow_exception(cause);
            } catch (...) {
                describe_current(text);
            }
        }
    } catch (...) {
        text += type + "\n";
    }
}

void print(const std::string& text) {
    std::fflush(stdout);
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(stderr);
}

}  // namespace

int run_process_body(const std::string& name, const std::function<void()>& body) {
    int code = 0;
    try {
        body();
    } catch (const SystemExit& exit) {
        if (!exit.text().empty()) {
            print(exit.text() + "\n");
        }
        code = exit.code() & 0xff;
    } catch (...) {
        std::string report = "Process " + name + ":\n";
        describe_current(report);
        print(report);
        code = 1;
    }
    os::write_out_streams();
    return code;
}

}  // namespace mp::detail
