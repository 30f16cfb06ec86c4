// SPDX-License-Identifier: BSL-1.0
#include "os/stream_text.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <istream>
#include <ostream>
#include <stdio_ext.h>
#include <streambuf>
#include <typeinfo>
#ifdef __GLIBCXX__
#include <ext/stdio_filebuf.h>
#include <ext/stdio_sync_filebuf.h>
#else
#include <iostream>
#endif

// The C library's own way through its open FILEs. It exports these functions, and no
// header declares them; where one is missing there are the standard streams.
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming)
extern "C" {
[[gnu::weak]] FILE* _IO_iter_begin();
[[gnu::weak]] FILE* _IO_iter_end();
[[gnu::weak]] FILE* _IO_iter_next(FILE*);
[[gnu::weak]] FILE* _IO_iter_file(FILE*);
[[gnu::weak]] void _IO_list_lock();
[[gnu::weak]] void _IO_list_unlock();
}

#ifdef __GLIBCXX__
// <iostream> would make the streams, with all of their locales, in each program that
// has this library: nine page faults of a spawned child. Here it is asked whether they
// are made.
namespace std {         // NOLINT(cert-dcl58-cpp)
extern istream cin;     // NOLINT(readability-redundant-declaration)
extern ostream cout;    // NOLINT(readability-redundant-declaration)
extern ostream clog;    // NOLINT(readability-redundant-declaration)
extern wistream wcin;   // NOLINT(readability-redundant-declaration)
extern wostream wcout;  // NOLINT(readability-redundant-declaration)
extern wostream wclog;  // NOLINT(readability-redundant-declaration)
}  // namespace std
#endif

namespace mp::os {
namespace {

template <class Use>
void for_each_file(Use use) noexcept {
    if (_IO_iter_begin == nullptr || _IO_iter_end == nullptr ||
        _IO_iter_next == nullptr || _IO_iter_file == nullptr) {
        use(stdout);
        use(stderr);
        return;
    }
    for (FILE* at = _IO_iter_begin(); at != _IO_iter_end(); at = _IO_iter_next(at)) {
        use(_IO_iter_file(at));
    }
}

// No FILE comes or goes meanwhile.
class FileListHeld {
public:
    FileListHeld() noexcept {
        if (can_lock()) {
            _IO_list_lock();
        }
    }

    ~FileListHeld() {
        if (can_lock()) {
            _IO_list_unlock();
        }
    }

    FileListHeld(const FileListHeld&) = delete;
    FileListHeld& operator=(const FileListHeld&) = delete;

private:
    static bool can_lock() noexcept {
        return _IO_list_lock != nullptr && _IO_list_unlock != nullptr;
    }
};

// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

void write_out(FILE* file) noexcept {
    if (::__fpending(file) > 0 && ::ftrylockfile(file) == 0) {
        ::fflush_unlocked(file);
        ::funlockfile(file);
    }
}

// What waits in a buffer; only a class derived from it may look.
template <class Char>
class Waiting : public std::basic_streambuf<Char> {
public:
    using Buffer = std::basic_streambuf<Char>;

    static auto to_write(const Buffer& buffer) noexcept {
        return (buffer.*(&Waiting::pptr))() - (buffer.*(&Waiting::pbase))();
    }

    static auto to_read(const Buffer& buffer) noexcept {
        return (buffer.*(&Waiting::egptr))() - (buffer.*(&Waiting::gptr))();
    }

    static void drop_to_write(Buffer& buffer) noexcept {
        (buffer.*(&Waiting::pbump))(-static_cast<int>(to_write(buffer)));
    }
};

// A standard stream is zeros until a part of the program makes it: it has no class yet,
// which an object begins with.
template <class Stream>
bool is_made(const Stream& stream) noexcept {
    const void* its_class = nullptr;
    std::memcpy(&its_class, static_cast<const void*>(&stream), sizeof its_class);
    return its_class != nullptr;
}

// What the standard streams begin with: without text of their own, since stdin, stdout
// and stderr have it. To ask no more of them saves a child some page faults.
template <class Char>
bool has_no_text([[maybe_unused]] const std::basic_streambuf<Char>& buffer) noexcept {
#ifdef __GLIBCXX__
    return typeid(buffer) == typeid(__gnu_cxx::stdio_sync_filebuf<Char>) &&
           Waiting<Char>::to_write(buffer) == 0 && Waiting<Char>::to_read(buffer) == 0;
#else
    return false;
#endif
}

template <class Char>
void write_out(std::basic_ostream<Char>& stream) noexcept {
    auto* const buffer = stream.rdbuf();
    if (buffer == nullptr || has_no_text(*buffer)) {
        return;
    }
    try {
        buffer->pubsync();
    } catch (...) {
        // As at every exit: nobody is left to tell.
    }
}

// A buffer of another kind is no file: what is in it belongs to nobody else.
template <class Char>
void drop_text(std::basic_ostream<Char>& stream) noexcept {
    auto* const buffer = stream.rdbuf();
    if (buffer != nullptr && Waiting<Char>::to_write(*buffer) != 0 &&
        dynamic_cast<std::basic_filebuf<Char>*>(buffer) != nullptr) {
        Waiting<Char>::drop_to_write(*buffer);
    }
}

template <class Char>
void drop_read_ahead_of([[maybe_unused]] std::basic_istream<Char>& stream) noexcept {
#ifdef __GLIBCXX__
    if (stream.rdbuf() == nullptr || has_no_text(*stream.rdbuf())) {
        return;
    }
    using Buffer = __gnu_cxx::stdio_filebuf<Char>;
    auto* const file = dynamic_cast<Buffer*>(stream.rdbuf());
    if (file == nullptr || file->fd() != 0) {
        return;
    }
    try {
        file->pubseekpos(0);  // forgets what was read: here is where it goes on
    } catch (...) {
        // It cannot; then it reads to the end of what it has.
    }
#endif
}

template <class Use, class... Streams>
void for_each_made(Use use, Streams&... streams) noexcept {
    ((is_made(streams) ? use(streams) : void()), ...);
}

template <class Use>
void for_each_output_stream(Use use) noexcept {
    // clog shares its buffer with cerr.
    for_each_made(use, std::cout, std::clog, std::wcout, std::wclog);
}

std::terminate_handler terminate_before = nullptr;

[[noreturn]] void write_out_and_terminate() {
    write_out_streams();
    if (terminate_before != nullptr) {
        terminate_before();
    }
    std::abort();
}

}  // namespace

void write_out_before_fork() noexcept {
    write_out(stdout);
    write_out(stderr);
}

void drop_text_of_parent() noexcept {
    for_each_file([](FILE* file) {
        // One without a descriptor writes to this process's memory.
        if (::__fpending(file) > 0 && ::fileno_unlocked(file) >= 0) {
            ::__fpurge(file);
        }
    });
    for_each_output_stream([](auto& stream) { drop_text(stream); });
}

void drop_read_ahead() noexcept {
    ::__fpurge(stdin);
    for_each_made(
        [](auto& stream) { drop_read_ahead_of(stream); }, std::cin, std::wcin
    );
}

void write_out_streams() noexcept {
    for_each_output_stream([](auto& stream) { write_out(stream); });
    const FileListHeld held;
    for_each_file([](FILE* file) { write_out(file); });
}

void write_out_at_terminate() noexcept {
    const std::terminate_handler before = std::set_terminate(write_out_and_terminate);
    if (before != write_out_and_terminate) {
        terminate_before = before;
    }
}

}  // namespace mp::os
