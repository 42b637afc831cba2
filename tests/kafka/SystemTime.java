package org.apache.kafka.common.utils;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/** Stands before Kafka's own class on the class path: its wall clock is off by what a file says. */
class SystemTime implements Time {
    private static final SystemTime TIME = new SystemTime();
    private static final Path STEP = Path.of(System.getProperty("sluice.clock"));
    private long read;
    private long step;

    public static SystemTime getSystemTime() {
        return TIME;
    }

    @Override
    public synchronized long milliseconds() {
        long now = System.currentTimeMillis();
        if (now - read >= 10) {
            read = now;
            try {
                step = Long.parseLong(Files.readString(STEP).strip());
            } catch (Exception error) {
                throw new IllegalStateException(error);
            }
        }
        return now + step;
    }

    @Override
    public long nanoseconds() {
        return System.nanoTime();
    }

    @Override
    public void sleep(long ms) {
        Utils.sleep(ms);
    }

    @Override
    public void waitObject(Object object, Supplier<Boolean> condition, long deadlineMs)
            throws InterruptedException {
        long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(deadlineMs - milliseconds());
        synchronized (object) {
            while (!condition.get()) {
                long left = TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime());
                if (left <= 0) {
                    throw new org.apache.kafka.common.errors.TimeoutException("condition not met");
                }
                object.wait(left);
            }
        }
    }
}
