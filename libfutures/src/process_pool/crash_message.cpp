// SPDX-License-Identifier: BSL-1.0
// Last words: written by the program's own end, read by its parent.
#include "process_pool/crash_message.hpp"

#include "util/demangle.hpp"

#include <dlfcn.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <cxxabi.h>
#include <exception>
#include <string_view>
#include <typeinfo>

namespace futures::detail {

namespace {

// Set before the handlers are.
CrashMessage* last_words = nullptr;
pid_t speaking_process = 0;
std::terminate_handler handler_before = nullptr;
const void* const* abort_message = nullptr;

template <std::size_t size>
void put(std::array<char, size>& to, std::string_view text) noexcept {
    const std::size_t length = std::min(text.size(), size - 1);
    std::memcpy(to.data(), text.data(), length);
    to[length] = '\0';
}

void write_exception(CrashMessage& message) noexcept {
    const std::type_info* const type = abi::__cxa_current_exception_type();
    put(message.type, type != nullptr ? type->name() : "");
    put(message.text, "");
    message.kind =
        type != nullptr ? CrashMessage::Kind::exception : CrashMessage::Kind::terminate;
    try {
        if (std::current_exception() != nullptr) {
            throw;
        }
    } catch (const std::exception& error) {
        put(message.text, error.what());  // the program's own, which may crash
    } catch (const std::string& text) {
        put(message.text, text);
    } catch (const char* text) {
        put(message.text, text != nullptr ? text : "");
    } catch (...) {
        return;  // its type says all
    }
}

/// Here, and not in the parent: a name that somebody has made up may stand for
/// gigabytes of text.
void write_type_in_words(CrashMessage& message) noexcept {
    try {
        const std::type_info* const type = abi::__cxa_current_exception_type();
        if (type != nullptr) {
            put(message.type, mp::detail::demangled(type->name()));
        }
    } catch (const std::exception&) {
        return;  // no memory: the linker's name stands there
    }
}

[[noreturn]] void write_and_terminate() {
    // A process that a task has forked by itself has no such memory.
    if (::getpid() == speaking_process) {
        write_exception(*last_words);
        write_type_in_words(*last_words);  // last: it needs memory
    }
    if (handler_before != nullptr) {
        handler_before();
    }
    std::abort();
}

/// Memory of this process, which may not be there.
bool read_memory(const void* from, void* to, std::size_t size) noexcept {
    const iovec here{.iov_base = to, .iov_len = size};
    const iovec there{.iov_base = const_cast<void*>(from), .iov_len = size};
    return ::process_vm_readv(::getpid(), &here, 1, &there, 1, 0) ==
           static_cast<ssize_t>(size);
}

/// How the GNU C library keeps its last words, for debuggers: a mapping of whole pages,
/// whose size comes first. What is not so is something else.
struct AbortMessage {
    static constexpr std::size_t most = std::size_t{1} << 20U;

    unsigned size;
    std::array<char, CrashMessage::max_text> text;
};

template <std::size_t size>
std::string text_of(const std::array<char, size>& text) {
    return {text.data(), ::strnlen(text.data(), size)};
}

}  // namespace

void prepare_crash_message(CrashMessage& message) {
    last_words = &message;
    speaking_process = ::getpid();
    const std::terminate_handler before = std::set_terminate(write_and_terminate);
    if (before != write_and_terminate) {
        handler_before = before;
    }
#ifdef __GLIBC__
    // Not one of its public names: it may go, or become something else.
    abort_message = static_cast<const void* const*>(
        ::dlvsym(RTLD_DEFAULT, "__abort_msg", "GLIBC_PRIVATE")
    );
#endif
}

void write_abort_message(CrashMessage& message) noexcept {
    const void* from = nullptr;
    if (message.kind != CrashMessage::Kind::none || abort_message == nullptr ||
        !read_memory(abort_message, &from, sizeof from) || from == nullptr) {
        return;
    }
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    AbortMessage found{};
    if (reinterpret_cast<std::uintptr_t>(from) % page != 0 ||
        !read_memory(from, &found, sizeof found) || found.size == 0 ||
        found.size % page != 0 || found.size > AbortMessage::most) {
        return;
    }
    put(message.text,
        {found.text.data(), ::strnlen(found.text.data(), found.text.size())});
    message.kind = CrashMessage::Kind::abort;
}

std::string crash_message_in_words(const CrashMessage& message) {
    // Another process may still be writing there: once, and then what was read.
    const CrashMessage read = message;
    const std::string text = printable(text_of(read.text));
    switch (read.kind) {
    case CrashMessage::Kind::exception: {
        const std::string what =
            "std::terminate() with " + printable(text_of(read.type));
        return text.empty() ? what : what + ": " + text;
    }
    case CrashMessage::Kind::terminate:
        return "std::terminate() without an exception";
    case CrashMessage::Kind::abort:
        return text;
    case CrashMessage::Kind::none:
        break;
    }
    return {};
}

std::string printable(std::string text) {
    for (char& letter : text) {
        const auto code = static_cast<unsigned char>(letter);
        if ((code < 0x20 && letter != '\n' && letter != '\t') || code == 0x7f) {
            letter = '?';
        }
    }
    while (!text.empty() && text.back() == '\n') {
        text.pop_back();
    }
    return text;
}

}  // namespace futures::detail
