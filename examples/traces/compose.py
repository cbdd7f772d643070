#!/usr/bin/env python3
"""Composes the samples that could not be recorded, from requests that fio measured. See README.md."""

import gzip
import pathlib
import uuid

HERE = pathlib.Path(__file__).parent
EPOCH = 130934712000000000  # 2015-12-01T12:00:00Z as FILETIME
ZERO = uuid.UUID(int=0)


def requests():
    """fio's latency logs: milliseconds at completion, latency in ns, direction, bytes, offset, priority."""
    found = []
    for job in (1, 2, 3):
        lines = (HERE / f"origin/latency.{job}.log").read_text().split("\n")
        rows = [[int(word) for word in line.split(",")] for line in lines if line]
        for index, (ms, latency, direction, size, offset, _) in enumerate(rows):
            same = [row[0] for row in rows]
            rank = index - same.index(ms)
            # The log counts milliseconds; inside one the completions are spread evenly.
            done = ms * 10_000 + rank * 10_000 // same.count(ms) + job
            latency //= 100
            found.append({
                "job": job, "done": done + 10_000, "issue": max(done + 10_000 - latency, 0), "latency": latency,
                "write": direction == 1, "size": size, "offset": offset,
                "cpu": (index % 4) if job == 1 else job - 1,
            })
    return sorted(found, key=lambda request: request["issue"])


def msr(found):
    lines = [f"{EPOCH + r['issue']},fio,{r['job'] - 1},{'Write' if r['write'] else 'Read'},{r['offset']},{r['size']},{r['latency']}"
             for r in found]
    (HERE / "msr.csv").write_text("\n".join(lines) + "\n")


def fio_v2(path):
    """fio 3.33 writes version 3 only: the same log, its stamps turned into waits."""
    lines, before = ["fio version 2 iolog"], 0
    for line in (HERE / "fio-v3.log").read_text().splitlines()[1:]:
        stamp, name, action, *rest = line.split()
        if action not in ("add", "open", "close"):
            if int(stamp) - before >= 100:
                lines.append(f"{name} wait {int(stamp) - before} 0")
                before = int(stamp)
        lines.append(" ".join([name, action, *rest]))
    path.write_text("\n".join(lines) + "\n")


def blkparse(found):
    """Issue and completion of each request; the third job's fdatasync as flushes."""
    events = []
    for r in found:
        what = "WS" if r["write"] and r["job"] == 3 else "W" if r["write"] else "R"
        extent = f"{r['offset'] // 512} + {r['size'] // 512}"
        events.append((r["issue"] - 20, r["cpu"], "Q", what, f"{extent} [fio]"))
        events.append((r["issue"], r["cpu"], "D", what, f"{extent} [fio]"))
        events.append((r["done"], 0 if r["job"] == 2 else r["cpu"], "C", what, f"{extent} [0]"))
    for r in [r for r in found if r["job"] == 3][3::4]:
        events.append((r["done"] + 30, r["cpu"], "D", "FN", "[fio]"))
        events.append((r["done"] + 530, r["cpu"], "C", "FN", "0 [0]"))
    lines = []
    for number, (time, cpu, action, what, rest) in enumerate(sorted(events), 1):
        ns = max(time, 0) * 100
        lines.append(f"{8:3d},{0:<3d} {cpu:2d} {number:8d} {ns // 10**9:5d}.{ns % 10**9:09d} {697:5d} {action:>2s} {what:>3s} {rest}")
    lines += ["CPU0 (sda):", f" Reads Queued:          {len(found)}"]
    (HERE / "blkparse.txt").write_text("\n".join(lines) + "\n")


def storport(found):
    """Dispatch and completion; a flush, a device reset and a failed read besides."""
    events = []
    for number, r in enumerate(found):
        irp = f"0xFFFFE00001{(number % 64) * 0x1A0:06X}"
        code = ("0x2A" if r["write"] else "0x28")
        # Blocks of 512 bytes.
        events.append((r["issue"], r["cpu"], 203 if r["write"] else 202,
                       [("Irp", irp), ("Command", code), ("LengthOfTransferinblocks", r["size"] // 512),
                        ("LBA", r["offset"] // 512), ("OriginalIrp", "0x0"), ("NvCachePriority", 0)]))
        status = "0x04" if number == 17 else "0x01"
        events.append((r["done"], r["cpu"] // 2 * 2, 208,
                       [("Irp", irp), ("NTStatus", "0xC0000185" if number == 17 else "0x0"), ("SrbStatus", status),
                        ("ScsiStatus", 0), ("SenseKey", 0), ("AddSense", 0), ("AddSenseQ", 0), ("OriginalIrp", "0x0")]))
        events.append((r["done"] + 2, r["cpu"] // 2 * 2, 200,
                       [("RequestDuration_100ns", r["latency"]), ("Irp", irp), ("Command", code), ("SrbStatus", status),
                        ("OriginalIrp", "0x0"), ("Port", 0), ("Bus", 0), ("Target", r["job"] - 1), ("LUN", 0),
                        ("ScsiStatus", 0), ("ByteLengthOfTransfer", r["size"]),
                        ("BuildIoDuration_100ns", 9), ("StartIoDuration_100ns", 14)]))
        if number % 20 == 19:
            flush = f"0xFFFFE00002{number:06X}"
            events.append((r["done"] + 5, 1, 210, [("Irp", flush), ("Bus", 0), ("Target", 0), ("LUN", 0)]))
            events.append((r["done"] + 2505, 1, 211,
                           [("Irp", flush), ("NTStatus", "0x0"), ("SrbStatus", "0x01"), ("ScsiStatus", 0)]))
    middle = found[len(found) // 2]
    events.append((middle["issue"] + 1, 0, 1, [("PortNumber", 0), ("PathID", 0), ("TargetID", 0), ("LUN", 0)]))
    return sorted(events, key=lambda event: event[:3])


HEADING = ("Event Name,       Type,   Event ID, Version, Channel, Level, Opcode, Task,            Keyword,        PID,"
           "        TID, Processor Number, Instance ID, Parent Instance ID,                            Activity ID,"
           "                    Related Activity ID,         Clock-Time, Kernel(ms), User(ms), User Data")


def tracerpt_csv(found):
    lines = [HEADING]
    for time, cpu, event, data in storport(found):
        fields = ", ".join(str(value) for _, value in data)
        lines.append(f"Microsoft-Windows-StorPort,       Info, {event:10d},       2,       0,     4,      0,    0, "
                     f"0x8000000000300000, 0x00000004, 0x00000058, {cpu:16d},            ,                   , "
                     f"{{{ZERO}}},                                       , {EPOCH + time:18d},          0,        0, {fields}")
    text = "\ufeff" + "\r\n".join(lines) + "\r\n"
    with gzip.GzipFile(HERE / "tracerpt.csv.gz", "wb", mtime=0) as file:
        file.write(text.encode("utf-16-le"))


def tracerpt_xml(found):
    """The kernel's DiskIo events: beginnings and ends."""
    events = []
    for number, r in enumerate(found):
        irp = f"0x{0xFFFFE00001000000 + (number % 64) * 0x1A0:X}"
        events.append((r["issue"], r["cpu"], 13 if r["write"] else 12, [("Irp", irp), ("IssuingThreadId", 88)]))
        events.append((r["done"], r["cpu"] // 2 * 2, 11 if r["write"] else 10,
                       [("DiskNumber", r["job"] - 1), ("IrpFlags", "0x60043"), ("TransferSize", r["size"]),
                        ("Reserved", 0), ("ByteOffset", r["offset"]), ("FileObject", "0x0"), ("Irp", irp),
                        ("HighResResponseTime", r["latency"]), ("IssuingThreadId", 88)]))
    lines = ["<?xml version=\"1.0\"?>", "<Events>"]
    for time, cpu, opcode, data in sorted(events, key=lambda event: event[:3]):
        fields = "".join(f"<Data Name=\"{name}\">{value}</Data>" for name, value in data)
        lines += [
            "<Event xmlns=\"http://schemas.microsoft.com/win/2004/08/events/event\">",
            "\t<System>",
            "\t\t<Provider Guid=\"{3d6fa8d4-fe05-11d0-9dda-00c04fd7ba7c}\" />",
            f"\t\t<EventID>0</EventID><Version>3</Version><Level>0</Level><Task>0</Task><Opcode>{opcode}</Opcode><Keywords>0x0</Keywords>",
            f"\t\t<TimeCreated SystemTime=\"2015-12-01T12:00:{time // 10**7:02d}.{time % 10**7:07d}00-08:00\" />",
            f"\t\t<Execution ProcessID=\"4\" ThreadID=\"88\" ProcessorID=\"{cpu}\" KernelTime=\"0\" UserTime=\"0\" />",
            "\t</System>",
            f"\t<EventData>{fields}</EventData>",
            "</Event>",
        ]
    lines.append("</Events>")
    (HERE / "tracerpt.xml").write_text("\r\n".join(lines) + "\r\n")


def xperf(found):
    disk = ("TimeStamp, Process Name ( PID), ThreadID, CPU, IrpPtr, ByteOffset, IOSize, ElapsedTime, DiskNum, IrpFlags, "
            "DiskSvcTime, I/O Pri, VolSnap, FileObject, FileName")
    lines = ["BeginHeader"]
    lines += [f"{name:>24s}, {disk}" for name in ("DiskRead", "DiskWrite")]
    lines += [f"{name:>24s}, TimeStamp, Process Name ( PID), ThreadID, IrpPtr" for name in ("DiskReadInit", "DiskWriteInit", "DiskFlushInit")]
    lines += [f"{'DiskFlush':>24s}, TimeStamp, Process Name ( PID), ThreadID, IrpPtr, ElapsedTime, DiskNum, IrpFlags, DiskSvcTime, I/O Pri"]
    lines += ["EndHeader", "OS Version: 10.0.14393, Trace Size: 64KB, Events Lost: 0, Buffers lost: 0"]
    rows = []
    for number, r in enumerate(found):
        irp, name = f"0x{0x86a31a48 + (number % 64) * 0x1a0:x}", "DiskWrite" if r["write"] else "DiskRead"
        rows.append((r["issue"] // 10, f"{name}Init", f"fio.exe ( 697), 88, {irp}"))
        rows.append((r["done"] // 10, name, f"fio.exe ( 697), 88, {r['cpu']}, {irp}, {r['offset']:#012x}, {r['size']:#010x}, "
                     f"{r['latency'] // 10}, {r['job'] - 1}, 0x060043, {r['latency'] // 20}, Normal, Original, 0x85d3, \"C:\\disk.img\""))
        if number % 16 == 15:
            rows.append((r["done"] // 10 + 60, "DiskFlush", f"fio.exe ( 697), 88, {irp}, 55, 0, 0x060043, 50, Normal"))
    lines += [f"{name:>24s}, {time:10d}, {rest}" for time, name, rest in sorted(rows)]
    (HERE / "xperf.txt").write_text("\n".join(lines) + "\n")


def main():
    found = requests()
    msr(found)
    fio_v2(HERE / "fio-v2.log")
    blkparse(found)
    tracerpt_csv(found)
    tracerpt_xml(found[:60])
    xperf(found)


if __name__ == "__main__":
    main()
