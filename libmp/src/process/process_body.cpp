// SPDX-License-Identifier: BSL-1.0
#include "process/process_body.hpp"

#include "mp/errors.hpp"

#include <cstdio>
#include <cstdlib>
#include <cxxabi.h>
#include <exception>
#include <memory>
#include <typeinfo>

namespace mp::detail {
namespace {

std::string demangled(const std::type_info* type) {
    if (type == nullptr) {
        return "unknown exception";
    }
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> text(
        abi::__cxa_demangle(type->name(), nullptr, nullptr, &status), std::free
    );
    return text ? text.get() : type->name();
}

// One line an exception: its type, what it says, then its causes.
void describe_current(std::string& text) {
    const std::string type = demangled(abi::__cxa_current_exception_type());
    try {
        throw;
    } catch (const std::exception& error) {
        text += type + ": " + error.what() + "\n";
        try {
            std::rethrow_if_nested(error);
        } catch (...) {
            text += "caused by ";
            describe_current(text);
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
    std::fflush(nullptr);
    return code;
}

}  // namespace mp::detail
